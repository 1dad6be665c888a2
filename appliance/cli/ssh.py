"""`innervate ssh`: OpenSSH itself, through the daemon's tunnel, knowing the machine's host keys beforehand."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from appliance.errors import ShellError
from appliance.model.views import ShellView


def argv(shell: ShellView, *, known_hosts: Path, proxy: Sequence[str], command: Sequence[str]) -> list[str]:
    """`proxy` connects its standard streams to the machine's SSH port.

    The key exchange is named because a post-quantum one costs a slow machine seconds (OpenSSH >= 9.0 prefers it).
    """
    options = {
        "ProxyCommand": shlex.join(proxy).replace("%", "%%"),
        "HostKeyAlias": shell.machine,
        "UserKnownHostsFile": f'"{known_hosts}"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "KexAlgorithms": "curve25519-sha256",
    }
    named = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    return ["ssh", *named, "-i", shell.identity_file, "-l", shell.user, "--", shell.machine, *command]


def write_known_hosts(path: Path, shell: ShellView) -> None:
    """Replaced whole each time, so that a machine that was installed anew brings its new keys."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(known_hosts(shell), encoding="ascii", errors="replace")
    fresh.replace(path)


def known_hosts(shell: ShellView) -> str:
    """sshd(8), SSH_KNOWN_HOSTS FILE FORMAT. Raises `ShellError` where there is no key to trust."""
    if not shell.host_keys:
        raise ShellError(
            f"{shell.machine} has not reported its host keys",
            next_action=f"wait until it is active: `innervate status {shell.machine}`",
        )
    if any(set(key) & set("\r\n\0") for key in shell.host_keys):
        raise ShellError(
            f"{shell.machine} reported a host key of more than one line",
            evidence=repr(shell.host_keys)[:200],
            next_action="do not trust this machine; install it anew",
        )
    return "".join(f"{shell.machine} {key}\n" for key in shell.host_keys)


def state_dir(environment: Mapping[str, str]) -> Path:
    """XDG Base Directory Specification: the runtime directory, or the cache where there is none."""
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        return Path(runtime) / "innervate"
    cache = environment.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "innervate"

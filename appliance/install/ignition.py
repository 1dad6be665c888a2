"""What Ignition is told of its machine: a pointer to what the site program says and to what the appliance needs. Pure.

    config.ign    merges the others, each with its SHA-512; of two that name the same file the later one counts
    0.ign, ...    the site program's configs
    own.ign       host name, keys, network and report of this machine

Specification 3.3.0 of coreos/ignition. A pointer is what OpenShift's installer gives its nodes, too.
"""

import hashlib
from collections.abc import Mapping

from appliance.errors import UsageError
from appliance.model.ignition import (
    Config,
    Directory,
    File,
    Header,
    Merged,
    Resource,
    Storage,
    Timeouts,
    Verification,
    inline,
    sha512,
)
from appliance.plan import RunInstaller

NAME = "config.ign"
_OWN = "own.ign"
_ROOT = "/dev/innervate-root"
"""A rule of the ramdisk makes it (images/ignition/module/is-root)."""
_STATE = "/var/lib/innervate"
_FETCH_SECONDS = 300
# Where Ignition writes keys of users, which Debian's sshd does not read by itself.
_SSHD = "AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys.d/ignition\n"


def words(url: str, do: RunInstaller) -> tuple[str, ...]:
    """Kernel arguments. `url` is that of the pointer; beside it is where the ramdisk says how it went.

    Serial number and WWN may hold what no boot script can: their SHA-256 names the disk."""
    named = (("serial", do.disk.serial), ("wwn", do.disk.wwn))
    return (
        f"root={_ROOT}",
        "rw",
        "rd.neednet=1",
        "ignition.firstboot",
        "ignition.platform.id=metal",
        f"ignition.config.url={url}",
        f"innervate.tell={url.rpartition('/')[0]}",
        *(f"innervate.{name}={hashlib.sha256(text.encode()).hexdigest()}" for name, text in named if text),
    )


def files(do: RunInstaller, url: str, seed: Mapping[str, bytes], configs: Mapping[str, Config]) -> Mapping[str, bytes]:
    """File name -> content, beside the pointer at `url`. `seed` are files of a seed for this machine, `configs` what
    the site program says, by SHA-256: a plan holds no more of it. Raises `UsageError` for one that is gone."""
    texts = {f"{number}.ign": _said(ref.sha256, configs).text for number, ref in enumerate(do.configs)}
    texts[_OWN] = _own(do, seed).text
    base = url.rpartition("/")[0]
    merged = tuple(_reference(f"{base}/{name}", text) for name, text in texts.items())
    pointer = Config(ignition=Header(config=Merged(merge=merged), timeouts=Timeouts(http_total=_FETCH_SECONDS)))
    return {NAME: pointer.text.encode(), **{name: text.encode() for name, text in texts.items()}}


def _said(digest: str, configs: Mapping[str, Config]) -> Config:
    if digest not in configs:
        raise UsageError(
            "the site program says something else to Ignition than when the plan was approved",
            evidence=f"no config has SHA-256 {digest[:12]} now",
            next_action="plan again, and approve the new plan",
        )
    return configs[digest]


def _reference(url: str, text: str) -> Resource:
    return Resource(source=url, verification=Verification(hash=sha512(text.encode())))


def _own(do: RunInstaller, seed: Mapping[str, bytes]) -> Config:
    """Root's keys as a file: the image's sshd lets nobody else in, whatever other configs say of root."""
    keys = seed["authorized_keys"].decode()
    written = (
        ("/etc/hostname", f"{do.hostname}\n", 0o644),
        ("/etc/hosts", _hosts(do), 0o644),
        ("/etc/ssh/sshd_config.d/50-ignition.conf", _SSHD, 0o644),
        ("/etc/systemd/network/10-innervate.network", seed["10-innervate.network"].decode(), 0o644),
        ("/root/.ssh/authorized_keys", keys, 0o600),
        (f"{_STATE}/report.json", seed["report.json"].decode(), 0o600),
        (f"{_STATE}/report.url", seed["report.url"].decode(), 0o600),
    )
    kept = tuple(File(path=path, contents=inline(text), mode=mode, overwrite=True) for path, text, mode in written)
    folders = (Directory(path="/root/.ssh", mode=0o700), Directory(path=_STATE, mode=0o700))
    return Config(storage=Storage(directories=folders, files=kept))


def _hosts(do: RunInstaller) -> str:
    return f"127.0.0.1 localhost\n127.0.1.1 {do.hostname}.{do.domain} {do.hostname}\n::1 localhost ip6-localhost\n"

import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.cli import ssh
from appliance.errors import ShellError
from appliance.model.views import ShellView

SHELL = ShellView(
    machine="node-0",
    user="root",
    address="10.77.0.50",
    port=22,
    host_keys=("ssh-ed25519 AAAAC3Nza", "ecdsa-sha2-nistp256 AAAAE2"),
    identity_file="/var/lib/innervate/key",
)


def test_openssh_understands_it(tmp_path: Path) -> None:
    """`ssh -G` prints what it would do."""
    proxy = ("/opt/a b/python", "-m", "appliance.main", "--socket", "/tmp/100%.sock", "tunnel", "node-0")
    known_hosts = tmp_path / "known hosts"
    key = tmp_path / "key"
    key.touch()
    shell = replace(SHELL, identity_file=str(key))
    argv = ssh.argv(shell, known_hosts=known_hosts, proxy=proxy, command=("true",))
    told = subprocess.run(["ssh", "-G", *argv[1:]], capture_output=True, text=True, check=True).stdout
    options = dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
    assert options["user"] == "root"
    assert options["hostkeyalias"] == "node-0"
    assert options["stricthostkeychecking"] in ("true", "yes")
    assert options["kexalgorithms"] == "curve25519-sha256"
    assert f"identityfile {key}" in told.splitlines()
    assert str(known_hosts) in options["userknownhostsfile"]
    assert tuple(shlex.split(options["proxycommand"].replace("%%", "%"))) == proxy


def test_command_comes_last() -> None:
    argv = ssh.argv(SHELL, known_hosts=Path("/k"), proxy=("p",), command=("ls", "-l"))
    assert argv[-4:] == ["--", "node-0", "ls", "-l"]


def test_known_hosts_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "known_hosts.node-0"
    ssh.write_known_hosts(path, replace(SHELL, host_keys=("ssh-ed25519 OLD",)))
    ssh.write_known_hosts(path, SHELL)
    assert path.read_text() == "node-0 ssh-ed25519 AAAAC3Nza\nnode-0 ecdsa-sha2-nistp256 AAAAE2\n"
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("keys", [(), ("ssh-ed25519 A\n* ssh-ed25519 EVIL",)])
def test_no_key_no_shell(keys: tuple[str, ...]) -> None:
    with pytest.raises(ShellError):
        ssh.known_hosts(replace(SHELL, host_keys=keys))


def test_state_dir() -> None:
    assert ssh.state_dir({"XDG_RUNTIME_DIR": "/run/user/7"}) == Path("/run/user/7/innervate")
    assert ssh.state_dir({"XDG_CACHE_HOME": "/c"}) == Path("/c/innervate")
    assert ssh.state_dir({}) == Path.home() / ".cache" / "innervate"

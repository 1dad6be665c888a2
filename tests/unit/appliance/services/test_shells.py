"""The appliance's key, and SSH against a real sshd on a loopback address of its own."""

import io
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.errors import MachineryError, ShellError, UnreachableError
from appliance.model.secret import Secret
from appliance.services.shells import SshShells, ensure_key
from images.ports import Finished
from images.processes import HostProcesses

SSHD = Path("/usr/sbin/sshd")
needs_sshd = pytest.mark.skipif(
    not SSHD.exists() or os.geteuid() != 0, reason="SSH IS NOT TESTED: install openssh-server and run as root"
)
needs_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="install openssh-client")
HERE, NOBODY = IPv4Address("127.77.22.1"), IPv4Address("127.77.22.2")


class Refusing:
    def run(self, argv: Sequence[str], **_: object) -> Finished:
        return Finished(status=1, output=b"", errors=b"no space left")


@needs_keygen
@pytest.mark.parametrize("name", ["id_ed25519", "key.pem"])
def test_a_key_is_made_once(name: str, tmp_path: Path) -> None:
    path = tmp_path / "ssh" / name
    line = ensure_key(path, HostProcesses())
    assert line.startswith("ssh-ed25519 AAAA")
    assert path.stat().st_mode & 0o777 == 0o600
    assert ensure_key(path, Refusing()) == line


def test_a_key_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(MachineryError, match="no SSH key") as caught:
        ensure_key(tmp_path / "key", Refusing())
    assert caught.value.evidence == "no space left"


def test_a_key_without_its_public_half_or_folder(tmp_path: Path) -> None:
    (tmp_path / "key").touch()
    for path in (tmp_path / "key", tmp_path / "key" / "below"):
        with pytest.raises(MachineryError, match="cannot be used"):
            ensure_key(path, Refusing())


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    key: Path
    stranger: Path
    host_key: str


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("sshd")
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    key, stranger, host_key = (folder / name for name in ("key", "stranger", "host_key"))
    lines = [ensure_key(path, HostProcesses()) for path in (key, stranger, host_key)]
    (folder / "authorized").write_text(lines[0] + "\n")
    options = {
        "ListenAddress": str(HERE),
        "HostKey": str(host_key),
        "AuthorizedKeysFile": str(folder / "authorized"),
        "PidFile": "none",
        "StrictModes": "no",
        "PermitRootLogin": "prohibit-password",
        "PasswordAuthentication": "no",
        "UsePAM": "no",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    argv = [str(SSHD), "-D", "-e", "-p", "22", "-f", "/dev/null", *words]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            said = ""
            while "listening on" not in said:  # readline ends when sshd does
                line = server.stderr.readline()
                assert line, f"sshd did not start: {said}"
                said += line
            yield Host(key=key, stranger=stranger, host_key=" ".join(lines[2].split()[:2]))
        finally:
            server.terminate()


RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDBzV0"


@needs_sshd
def test_the_right_key_both_ways(host: Host) -> None:
    shells = SshShells(host.key)
    assert shells.run(HERE, "root", (host.host_key,), ("echo", "a b;", "$HOME")) == "a b; $HOME"
    odd = ("ssh-nonsense " + "A" * 44, "ssh-ed25519 " + "A" * 45, "ssh-ed25519 AAAA", RSA, host.host_key)
    assert shells.run(HERE, "root", odd, ("true",)) == ""


@needs_sshd
def test_what_is_fed_comes_in_and_comes_back_as_it_is(host: Host) -> None:
    text = "one\ntwo \x1b[31m é\n" + "x" * 200_000
    argv = ("sh", "-c", "head -n 2; cat >/dev/null")
    fed = SshShells(host.key).feed(HERE, "root", (host.host_key,), argv, Secret(text))
    assert fed == "one\ntwo \x1b[31m é"


@needs_sshd
def test_a_command_that_fails(host: Host) -> None:
    with pytest.raises(ShellError, match="ended with status 3") as caught:
        SshShells(host.key).run(HERE, "root", (host.host_key,), ("sh", "-c", "echo out; exit 3"))
    assert (type(caught.value), caught.value.evidence) == (ShellError, "out")


@needs_sshd
@pytest.mark.parametrize("known", ["other", "other-type", "none"])
def test_another_host_key(known: str, host: Host, tmp_path: Path) -> None:
    made = tmp_path / "made"
    kind = "ecdsa" if known == "other-type" else "ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(made)], check=True)
    keys = () if known == "none" else (" ".join(made.with_suffix(".pub").read_text().split()[:2]),)
    with pytest.raises(ShellError, match="another host key") as caught:
        SshShells(host.key).run(HERE, "root", keys, ("true",))
    assert not isinstance(caught.value, UnreachableError)


@needs_sshd
def test_a_key_that_is_not_accepted(host: Host) -> None:
    with pytest.raises(ShellError, match="does not accept the appliance's key") as caught:
        SshShells(host.stranger).run(HERE, "root", (host.host_key,), ("true",))
    assert not isinstance(caught.value, UnreachableError)


@needs_sshd
def test_nothing_listens(host: Host) -> None:
    with pytest.raises(UnreachableError) as caught:
        SshShells(host.key).run(NOBODY, "root", (host.host_key,), ("true",))
    assert caught.value.evidence


@needs_sshd
def test_much_goes_both_ways_as_it_is(host: Host, tmp_path: Path) -> None:
    shells, much, out = SshShells(host.key), bytes(range(256)) * 20_000, io.BytesIO()
    target = str(tmp_path / "much")
    shells.push(HERE, "root", (host.host_key,), ("sh", "-c", f"cat >{target}"), io.BytesIO(much))
    shells.pull(HERE, "root", (host.host_key,), ("cat", target), out)
    assert out.getvalue() == much


@needs_sshd
def test_what_fails_on_the_way_is_no_success(host: Host) -> None:
    shells, failing = SshShells(host.key), ("sh", "-c", "echo part; exit 3")
    with pytest.raises(ShellError, match="ended with status 3"):
        shells.pull(HERE, "root", (host.host_key,), failing, io.BytesIO())
    with pytest.raises(ShellError, match="ended with status 3") as caught:
        shells.push(HERE, "root", (host.host_key,), failing, io.BytesIO(b"some"))
    assert caught.value.evidence == "part"
    with pytest.raises(UnreachableError):
        shells.push(NOBODY, "root", (host.host_key,), failing, io.BytesIO(b"some"))

"""The way in: what is written where, and that an answer means a server that greets."""

import json
import stat

import pytest

from images.agent.errors import ProtocolError, TaskError
from images.agent.linux import LinuxFiles
from images.agent.ports import Finished
from images.agent.protocol import Rescue
from images.agent.rescue import AUTHORIZED_KEYS, HOST_KEY, parse_addresses, parse_host_key, rescue

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEajzJdTWJQ/meIQERsvANxZ8SjSENimHcyVwgP5HoWo"


class Ramdisk:
    """Processes and files of a ramdisk in which dropbear starts, or does not."""

    def __init__(self, golden) -> None:
        self.shown, self.ip = golden("dropbearkey.txt"), golden("ip-address.json")
        self.has_key = self.listens = False
        self.starts = True
        self.greeting = b"SSH-2.0-dropbear_2025.89\r\n"
        self.ran: list[tuple[str, ...]] = []
        self.written: dict[str, bytes] = {}
        self.processes = self.files = self

    def write_private(self, path, data):
        self.written[path] = data

    def run(self, argv, *, timeout, stdin=b""):
        self.ran.append(tuple(argv))
        status, output = self._answer(tuple(argv))
        return Finished(status=status, output=output, errors=b"why")

    def _answer(self, argv):
        match argv[0]:
            case "dropbearkey" if "-t" in argv:
                self.has_key = True
                return 0, self.shown
            case "dropbearkey":
                return (0, self.shown) if self.has_key else (1, b"")
            case "nc":
                return (0, self.greeting) if self.listens else (1, b"")
            case "dropbear":
                self.listens = self.starts
                return 0, b""
            case "ip":
                return 0, self.ip
        raise AssertionError(argv)

    def started(self) -> list[tuple[str, ...]]:
        return [argv for argv in self.ran if argv[0] == "dropbear"]


@pytest.fixture
def ramdisk(golden):
    return Ramdisk(golden)


def task(*keys):
    return Rescue(id="r", fence=1, authorized_keys=keys or (KEY + " ops@site",))


def test_server_runs_with_these_keys_and_no_passwords(ramdisk):
    assert rescue(task(), ramdisk) == {
        "user": "root",
        "port": 22,
        "host_key": KEY,
        "addresses": "10.0.2.15",
        "keys": 1,
    }
    assert ramdisk.written == {AUTHORIZED_KEYS: f"{KEY}\n".encode()}
    assert ramdisk.started() == [("dropbear", "-s", "-j", "-k", "-r", HOST_KEY, "-p", "22")]


def test_second_time_changes_the_keys_alone(ramdisk):
    first = rescue(task(), ramdisk)
    assert rescue(task(KEY, KEY), ramdisk) == first | {"keys": 2}
    assert len(ramdisk.started()) == 1
    assert sum("-t" in argv for argv in ramdisk.ran) == 1
    assert ramdisk.written == {AUTHORIZED_KEYS: f"{KEY}\n{KEY}\n".encode()}


@pytest.mark.parametrize("greeting", [b"", b"220 ftp\r\n"])
def test_server_that_does_not_greet_is_a_failure(ramdisk, greeting):
    ramdisk.greeting = greeting
    with pytest.raises(TaskError, match="does not listen"):
        rescue(task(), ramdisk)


def test_hostile_key_is_not_written(ramdisk):
    with pytest.raises(ProtocolError):
        rescue(task(KEY, f"{KEY}\n{KEY}"), ramdisk)
    assert ramdisk.written == {}
    assert ramdisk.ran == []


def test_addresses_that_are_not_known_are_no_failure(ramdisk):
    ramdisk.ip = b"Object requires a device"
    assert rescue(task(), ramdisk)["addresses"] == ""


@pytest.mark.parametrize("output", [b"", b"\xff\n", b"ssh-rsa AAAA\n", b"ssh-ed25519 AAAA\n"])
def test_host_key_that_is_none_is_refused(output):
    with pytest.raises((TaskError, ProtocolError)):
        parse_host_key(output)


def test_addresses_are_bounded():
    link = {"addr_info": [{"local": f"10.0.0.{number}"} for number in range(100)]}
    assert len(parse_addresses(json.dumps([link, {"ifname": "lo"}]).encode())) == 32


def test_keys_are_for_their_owner_only(tmp_path):
    path = tmp_path / "home/.ssh/authorized_keys"
    for text in (b"first\n", b"second\n"):
        LinuxFiles().write_private(str(path), text)
        assert path.read_bytes() == text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["authorized_keys"]

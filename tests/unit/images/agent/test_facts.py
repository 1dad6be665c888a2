"""What a machine says of itself, from recorded outputs; tools that fail are named, never fatal."""

from pathlib import Path

import pytest

from images.agent.cmdline import Endpoint, parse_cmdline
from images.agent.errors import ProtocolError
from images.agent.facts import MAX_OUTPUT, Survey, parse_cpuinfo, parse_meminfo, read_identity, read_nics
from images.agent.lldp import Heard, Listener
from images.agent.ports import Finished
from images.agent.protocol import Cpu, Firmware, encode, parse_facts


class Tools:
    def run(self, argv, *, timeout, stdin=b""):
        match argv[0]:
            case "lshw":
                raise FileNotFoundError("lshw")
            case "lsblk":
                return Finished(status=0, output=b'{"blockdevices": []}', errors=b"")
            case "ip":
                return Finished(status=0, output=b"[" if argv[-1] == "address" else b"[]", errors=b"")
            case _:
                return Finished(status=1, output=b"# dmi" * MAX_OUTPUT, errors=b"no SMBIOS")


class NoDisks:
    def read(self):
        raise PermissionError("sysfs")


@pytest.fixture
def sys_tree(golden, tmp_path):
    for name, text in golden("sysfs.tree.json").items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode("latin-1"))
    return tmp_path


def test_tools_that_fail_are_named(sys_tree):
    survey = Survey(boot_id="b", processes=Tools(), disks=NoDisks(), proc=Path("/nowhere"), sys=sys_tree)
    facts = survey.facts([Heard("eth0", b"\0\xff")])
    assert sorted(facts.errors) == ["disks", "dmidecode", "ip", "lshw"]
    assert (facts.lshw, facts.lsblk, facts.routes) == (None, {"blockdevices": []}, [])
    assert len(facts.dmidecode) == MAX_OUTPUT
    assert (facts.lldp, facts.lldp_nics) == (("00ff",), ("eth0",))
    assert parse_facts(encode(facts)) == facts


def test_identity_and_nics(sys_tree):
    identity = read_identity(sys_tree)
    assert (identity.serial, identity.board_serial, identity.firmware) == ("node-0", "", Firmware.UEFI)
    assert identity.macs == ("52:54:00:ab:cd:01", "52:54:00:ab:cd:02")
    assert [(nic.name, nic.speed_mbps, nic.carrier) for nic in read_nics(sys_tree)] == [
        ("eth0", 10000, True),
        ("eth1", 0, False),
    ]


def test_memory_and_cpu():
    assert parse_meminfo("MemTotal:  1024 kB\nMemFree: 1 kB\n") == 1 << 20
    assert parse_meminfo("") == 0
    thread = "processor : {}\nmodel name : Xeon\nphysical id : 0\ncore id : {}\n"
    text = "\n".join(thread.format(i, i // 2) for i in range(4))
    assert parse_cpuinfo(text) == Cpu(model="Xeon", cores=2, threads=4)
    assert parse_cpuinfo("") == Cpu(model="", cores=0, threads=0)


def test_lldp_is_bounded_and_without_repeats():
    listener = Listener()
    assert listener.heard("eth0", b"a")
    assert listener.heard("eth0", b"a")
    assert listener.heard("eth0", b"x" * 1501)
    assert listener.frames() == (("eth0", b"a"),)
    assert listener.heard("eth1", b"a")
    assert listener.frames()[1] == ("eth1", b"a")
    assert [listener.heard("eth0", bytes([i, 1])) for i in range(62)][-1] is False
    assert len(listener.frames()) == 64


def test_cmdline():
    line = "quiet innervate.server=http://10.0.0.1:8080 innervate.nonce=a-b_9 x"
    assert parse_cmdline(line) == Endpoint(host="10.0.0.1", port=8080, nonce="a-b_9")
    assert parse_cmdline("innervate.server=http://[fe80::1] innervate.nonce=n").host == "fe80::1"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "innervate.server=https://a innervate.nonce=n",
        "innervate.server=http://a:99999 innervate.nonce=n",
        "innervate.server=http://a/b innervate.nonce=n",
        "innervate.server=http://a innervate.nonce=a:b",
        "innervate.server=http://a",
    ],
)
def test_bad_cmdline_is_refused(line):
    with pytest.raises(ProtocolError):
        parse_cmdline(line)

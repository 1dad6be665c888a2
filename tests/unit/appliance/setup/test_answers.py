"""What people write at the first boot, and what it is taken for."""

from ipaddress import IPv4Address, IPv4Interface

import pytest

from appliance.errors import UsageError
from appliance.setup.answers import (
    Answers,
    Nic,
    address_of,
    device_of,
    key_of,
    rack_of,
    read_file,
    suggested,
    targets_of,
)

NICS = (
    Nic(name="enp1s0", mac="52:54:00:00:00:01", has_link=True, speed=10_000),
    Nic(name="enp2s0", mac="52:54:00:00:00:02", has_link=False, speed=0),
)


@pytest.mark.parametrize(("answer", "device"), [("1", "enp1s0"), (" 2 ", "enp2s0"), ("enp2s0", "enp2s0")])
def test_an_interface_has_a_number_and_a_name(answer: str, device: str) -> None:
    assert device_of(answer, NICS) == device


def nic(name: str, *servers: str, link: bool = True, asked: bool = True) -> Nic:
    return Nic(name=name, mac="", has_link=link, speed=0, servers=servers if asked else None)


@pytest.mark.parametrize(
    ("nics", "device"),
    [
        ((), ""),
        ((nic("a", "10.0.0.1"),), "a"),
        ((nic("a", "10.0.0.1"), nic("b")), "b"),
        ((nic("a", "10.0.0.1"), nic("b"), nic("c")), ""),
        ((nic("a", "10.0.0.1"), nic("b", link=False)), ""),
        ((nic("a"), nic("b", asked=False)), "a"),
        ((nic("a", asked=False), nic("b", asked=False)), ""),
    ],
)
def test_the_rack_is_where_nobody_else_serves_dhcp(nics: tuple[Nic, ...], device: str) -> None:
    assert suggested(nics) == device


def test_the_only_interface_needs_no_answer() -> None:
    assert device_of("", NICS[:1]) == "enp1s0"


@pytest.mark.parametrize("answer", ["", "0", "3", "-1", "eth0", "enp1s0; reboot", "\x1b[2J", "²"])
def test_no_interface(answer: str) -> None:
    with pytest.raises(UsageError, match="no network interface") as refused:
        device_of(answer, NICS)
    assert "enp1s0, enp2s0" in refused.value.evidence
    assert "\x1b" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "address"),
    [("", "10.77.0.1/24"), (" 192.168.7.3/25 ", "192.168.7.3/25"), ("172.16.0.1/16", "172.16.0.1/16")],
)
def test_an_address(answer: str, address: str) -> None:
    assert address_of(answer) == IPv4Interface(address)


@pytest.mark.parametrize(
    "answer",
    ["10.0.0.1", "10.0.0.0/24", "10.0.0.255/24", "10.0.0.1/30", "10.0.0.1/8", "8.8.8.8/24", "fe80::1/64", "ten", "/24"],
)
def test_no_address(answer: str) -> None:
    with pytest.raises(UsageError) as refused:
        address_of(answer)
    assert refused.value.next_action == "for example 10.77.0.1/24"


@pytest.mark.parametrize(
    ("address", "pool"),
    [
        ("10.77.0.1/24", ("10.77.0.128", "10.77.0.254")),
        ("10.77.0.254/24", ("10.77.0.128", "10.77.0.253")),
        ("10.77.0.128/24", ("10.77.0.129", "10.77.0.254")),
        ("10.77.0.200/24", ("10.77.0.128", "10.77.0.199")),
        ("10.77.0.2/23", ("10.77.1.0", "10.77.1.254")),
        ("10.0.0.1/28", ("10.0.0.8", "10.0.0.14")),
    ],
)
def test_machines_get_the_upper_half(address: str, pool: tuple[str, str]) -> None:
    answers = Answers(device="enp1s0", address=IPv4Interface(address), bmcs=("10.77.1.0/24",))
    assert answers.pool == tuple(map(IPv4Address, pool))


def test_bmcs_are_looked_for_where_they_are_said_to_be() -> None:
    found = targets_of(("10.0.1.0/30", "https://10.0.2.9", "10.0.3.1"))
    assert {str(suspect.address) for suspect in found} >= {"10.0.1.1", "10.0.1.2", "10.0.2.9", "10.0.3.1"}


@pytest.mark.parametrize("words", [(), ("rack",), ("10.0.0.0/8",), ("ftp://10.0.0.1",)])
def test_no_bmcs(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError):
        targets_of(words)


def test_a_stick_answers_everything() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJd2 me@here"
    text = (
        'address = "10.9.0.1/24"\nbmcs = ["10.9.1.0/24"]\ndevice = "2"\nuser = "root"\npassword = "calvin"\n'
        f'keys = ["{key}"]\nrack = "r12"\n'
    )
    answers = read_file(text, NICS)
    assert (answers.device, answers.address, answers.rack) == ("enp2s0", IPv4Interface("10.9.0.1/24"), "r12")
    assert (answers.bmcs, answers.user, answers.keys) == (("10.9.1.0/24",), "root", (key,))
    assert answers.password.reveal() == "calvin"
    assert "calvin" not in repr(answers)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "bmcs"),
        ('bmcs = "10.0.0.1"', "bmcs"),
        ('bmcs = ["10.0.0.1"]\nbcms = []', "bcms"),
        ("bmcs = [", "end of document"),
    ],
)
def test_a_stick_that_cannot_be_read_names_the_key(text: str, named: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_file(text, NICS)
    assert named in refused.value.evidence


@pytest.mark.parametrize("key", ["", "ssh-ed25519", "ssh-ed25519 AAAA\nroot", 'ssh-ed25519 AAAAAAAAAAAAAAAAAAAA "\x1b'])
def test_no_key(key: str) -> None:
    with pytest.raises(UsageError):
        key_of(key)


@pytest.mark.parametrize("name", ["", "-a", "A", "a" * 33, "a.b", 'a"', "a\n"])
def test_no_rack(name: str) -> None:
    with pytest.raises(UsageError):
        rack_of(name)

"""What an export adds to NetBox, and what it only tells: nothing that people entered is written over."""

from dataclasses import replace

import pytest

from appliance.netbox.wiring import Found, FoundPort, Known, KnownAddress, KnownPort, wiring

MAC, OTHER = "52:54:00:77:00:01", "52:54:00:77:00:02"
LEAF = KnownPort(id=70, name="swp7")
NEW = FoundPort(name="eno1", mac=MAC, switch="leaf-1", socket="swp7")
NODE = Found(machine="node-0", ports=(NEW,))
BLANK = KnownPort(id=1, name="eno1")


def known(*ports: KnownPort, leaf: KnownPort = LEAF, primary: str = "", held: KnownAddress | None = None) -> Known:
    return Known(
        ports={"node-0": ports, "leaf-1": (leaf,)},
        addresses={"10.0.0.5": held} if held is not None else {},
        primary={"node-0": primary} if primary else {},
    )


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (
            known(),
            ["+ node-0 port eno1", f"~ node-0 port eno1 mac: - -> {MAC}", "~ node-0 port eno1 cable: - -> leaf-1 swp7"],
        ),
        (known(BLANK), [f"~ node-0 port eno1 mac: - -> {MAC}", "~ node-0 port eno1 cable: - -> leaf-1 swp7"]),
        (known(replace(BLANK, name="NIC 1", mac=MAC)), ["~ node-0 port NIC 1 cable: - -> leaf-1 swp7"]),
        (known(replace(BLANK, mac=MAC, peer="leaf-1 swp7"), leaf=replace(LEAF, peer="node-0 eno1")), []),
        (
            known(replace(BLANK, mac=OTHER, peer="leaf-1 swp7"), leaf=replace(LEAF, peer="node-0 eno1")),
            [f"! node-0 port eno1: NetBox has the MAC {OTHER}, the machine {MAC}"],
        ),
        (
            known(replace(BLANK, mac=MAC, peer="leaf-2 swp9")),
            ["! node-0 port eno1: it is plugged into leaf-1 swp7, and NetBox has a cable from there to leaf-2 swp9"],
        ),
        (
            known(replace(BLANK, mac=MAC), leaf=replace(LEAF, peer="node-9 eno1")),
            ["! node-0 port eno1: it is plugged into leaf-1 swp7, and NetBox has another cable in swp7"],
        ),
        (known(KnownPort(id=2, name="eno1", mac=MAC, management=True)), ["+ node-0 port eno1", "...", "..."]),
    ],
    ids=["nothing", "name", "mac", "all", "other-mac", "other-cable", "taken", "management"],
)
def test_ports(there: Known, told: list[str]) -> None:
    made = wiring(there, [NODE])
    said = [*map(str, made.changes), *(f"! {one}" for one in made.left_out)]
    assert [one if two != "..." else two for one, two in zip(said, told, strict=True)] == told


@pytest.mark.parametrize(
    ("there", "found", "told"),
    [
        (known(replace(BLANK, mac=MAC)), ("10.0.0.5/24", "eno1"), "~ node-0 port eno1 address: - -> 10.0.0.5/24"),
        (known(BLANK, primary="10.0.0.5"), ("10.0.0.5/24", "eno1"), ""),
        (
            known(BLANK, primary="10.0.0.9"),
            ("10.0.0.5/24", "eno1"),
            "! node-0: NetBox has the primary address 10.0.0.9",
        ),
        (known(BLANK), ("10.0.0.5/24", ""), "! node-0: it has 10.0.0.5, and nobody knows by which"),
        (
            known(BLANK, held=KnownAddress(id=3, port=99)),
            ("10.0.0.5/24", "eno1"),
            "! node-0: it has 10.0.0.5, which another",
        ),
        (
            known(BLANK, held=KnownAddress(id=3)),
            ("10.0.0.5/24", "eno1"),
            "~ node-0 port eno1 address: - -> 10.0.0.5/24",
        ),
        (known(BLANK), ("", ""), ""),
    ],
    ids=["none", "same", "other", "which-port", "elsewhere", "unassigned", "not-known"],
)
def test_addresses(there: Known, found: tuple[str, str], told: str) -> None:
    plain = FoundPort(name="eno1", mac=MAC)
    made = wiring(there, [Found(machine="node-0", ports=(plain,), address=found[0], at=found[1])])
    said = [*(str(one) for one in made.changes if one.what.value == "address"), *(f"! {one}" for one in made.left_out)]
    assert [one.startswith(told) for one in said] == ([True] if told else [])


def test_a_machine_that_netbox_does_not_have_is_none_of_its_business() -> None:
    made = wiring(known(), [Found(machine="stranger", ports=(NEW,), address="10.0.0.5/24", at="eno1")])
    assert (made.changes, made.left_out) == ((), ())


def test_switches_tell_their_name_with_their_domain() -> None:
    far = replace(NEW, switch="LEAF-1.example.net", socket="SWP7")
    made = wiring(known(replace(BLANK, mac=MAC)), [replace(NODE, ports=(far,))])
    assert [one.after for one in made.changes] == ["LEAF-1.example.net SWP7"]

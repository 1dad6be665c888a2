"""What a switch and a machine are told of a channel, and what both sides come to."""

import subprocess
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.errors import SiteError
from appliance.model.ids import MachineName
from appliance.model.links import BondLink, BondMode, LacpRate, MachineNetwork, NicLink
from appliance.model.stated_links import static
from appliance.model.switch import BondPorts, Switch
from appliance.nodes import bonding
from appliance.nodes.job import script
from appliance.switch.dialect import EOS, abort, confirm, join, separate, show
from appliance.switch.standing import (
    HostSide,
    HostSight,
    Standing,
    SwitchSide,
    answers,
    read_host,
    read_switch,
    standing,
)
from pxe.client import Mac

MACS = (Mac("52:54:00:77:00:01"), Mac("52:54:00:77:00:02"))
BOND = BondLink(
    name="bond0",
    members=("bond0p0", "bond0p1"),
    mode=BondMode.LACP,
    mac=MACS[0],
    lacp_rate=LacpRate.FAST,
    ip=static("10.77.0.11/24"),
)
NETWORK = MachineNetwork(links=(*(NicLink(name=f"bond0p{at}", mac=mac) for at, mac in enumerate(MACS)), BOND))
DO = BondPorts(
    network=NETWORK, bond="bond0", switch="leaf-1", ports=("Ethernet1", "Ethernet2"), channel=101, vlan=10, seconds=90
)


def test_a_channel_is_made_with_a_timer_and_unmade_at_once() -> None:
    assert join(EOS, DO) == (
        "configure session innervate",
        "interface Port-Channel101",
        "switchport mode access",
        "switchport access vlan 10",
        "port-channel lacp fallback individual",
        "port-channel lacp fallback timeout 5",
        "exit",
        *("interface Ethernet1", "channel-group 101 mode active", "exit"),
        *("interface Ethernet2", "channel-group 101 mode active", "exit"),
        "commit timer 00:01:30",
    )
    assert separate(EOS, DO)[-3:] == ("exit", "no interface Port-Channel101", "commit")
    assert (confirm(EOS, DO), abort(EOS, DO)) == (
        "configure session innervate commit",
        "configure session innervate abort",
    )
    assert show(EOS, DO)[-1] == "show configuration sessions"


ACCESS = "interface Ethernet1\n   switchport access vlan 10"
MEMBER = f"{ACCESS}\n   channel-group 101 mode active"
IDLE, WAITS = "  Name  State", "  Name  State\n  innervate   pendingCommitTimer  appliance"


@pytest.mark.parametrize(
    ("said", "side"),
    [
        ((ACCESS, ACCESS, IDLE), SwitchSide.ACCESS),
        ((MEMBER, MEMBER, IDLE), SwitchSide.CHANNEL),
        ((MEMBER, MEMBER, WAITS), SwitchSide.PENDING),
        ((ACCESS, MEMBER, IDLE), SwitchSide.OTHER),
        ((ACCESS, ACCESS.replace("10", "100"), IDLE), SwitchSide.OTHER),
        ((MEMBER, MEMBER.replace("101", "7"), IDLE), SwitchSide.OTHER),
        (("", "", IDLE), SwitchSide.OTHER),
        ((ACCESS, ACCESS, "  another  pendingCommitTimer  x"), SwitchSide.ACCESS),
    ],
    ids=[
        "access",
        "channel",
        "pending",
        "half",
        "another VLAN",
        "another channel",
        "nothing",
        "somebody else's change",
    ],
)
def test_what_a_switch_says_is_one_of_four(said: tuple[str, ...], side: SwitchSide) -> None:
    assert read_switch(EOS, DO, said) is side


def test_what_a_machine_says_is_not_believed_further_than_it_can_be_read() -> None:
    said = read_host("side=undecided\nports=2\npartner=00:1c:73:00:00:01\nwhy=")
    assert said == HostSight(side=HostSide.UNDECIDED, ports=2, partner="00:1c:73:00:00:01")
    assert answers(said, DO)
    assert not answers(replace(said, ports=1), DO)
    assert not answers(read_host("side=undecided\nports=2\npartner=00:00:00:00:00:00"), DO)
    assert read_host("") == read_host("side=nonsense\nports=many") == HostSight(side=HostSide.OLD)


@pytest.mark.parametrize(
    ("host", "switch", "comes_to"),
    [
        (HostSide.OLD, SwitchSide.ACCESS, Standing.NOT_BEGUN),
        (HostSide.BACK, SwitchSide.ACCESS, Standing.NOT_BEGUN),
        (HostSide.NEW, SwitchSide.CHANNEL, Standing.DONE),
        (HostSide.UNDECIDED, SwitchSide.ACCESS, Standing.DECIDING),
        (HostSide.UNDECIDED, SwitchSide.CHANNEL, Standing.DECIDING),
        (HostSide.OLD, SwitchSide.PENDING, Standing.DECIDING),
        (HostSide.NEW, SwitchSide.PENDING, Standing.DECIDING),
        (HostSide.BACK, SwitchSide.CHANNEL, Standing.TORN),
        (HostSide.NEW, SwitchSide.ACCESS, Standing.TORN),
        (HostSide.OLD, SwitchSide.OTHER, Standing.FOREIGN),
    ],
    ids=lambda value: value.name.lower(),
)
def test_nothing_is_done_while_a_side_decides(host: HostSide, switch: SwitchSide, comes_to: Standing) -> None:
    assert standing(HostSight(side=host), switch) is comes_to


def test_the_machine_has_the_new_network_beside_the_old_one_until_it_is_decided() -> None:
    job = bonding.apply(DO, MachineName("node-0"))
    files = {file.path: str(file.text) for file in job.files}
    assert "Mode=802.3ad" in files["/var/lib/innervate/network/new/10-innervate-bond0.netdev"]
    assert "OnActiveSec=180" in files["/etc/systemd/system/innervate-network-decide.timer"]
    assert not any(path.startswith("/etc/systemd/network") for path in files)
    texts = [script(job, "").reveal(), files[bonding.DECIDE], *(act.argv[2] for act in job.acts)]
    for text in (*texts, bonding.look(DO)[2]):
        subprocess.run(["dash", "-n", "-c", text], check=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"ports": ("Ethernet1",)}, "cannot be made"),
        ({"ports": ("Ethernet1", "Ethernet1")}, "cannot be made"),
        ({"ports": ("Ethernet1", "Ethernet2\nreload")}, "cannot be made"),
        ({"vlan": 4095}, "cannot be made"),
        ({"seconds": 2}, "cannot be made"),
        ({"network": MachineNetwork(links=(replace(BOND, lacp_rate=LacpRate.SLOW),))}, "are too few"),
    ],
    ids=["one port", "a port twice", "a command in a port", "no VLAN", "no time", "slow"],
)
def test_a_channel_that_cannot_be_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(SiteError, match=says):
        replace(DO, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes", [{"name": "leaf 1"}, {"host_key": "AAAA"}, {"host_key": "ssh-rsa"}], ids=["name", "key", "no key"]
)
def test_a_switch_without_a_pinned_key_is_refused(changes: dict[str, str]) -> None:
    stated = {"name": "leaf-1", "host_key": f"ssh-ed25519 {'A' * 68}", **changes}
    with pytest.raises(SiteError, match="cannot be used as it is stated"):
        Switch(address=IPv4Address("10.0.0.1"), user="appliance", **stated)

"""From stated bonds and what LLDP has shown to one step for each machine, and to none once it is so."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.errors import PlanError
from appliance.inventory.model import Inventory
from appliance.model.hardware import Neighbour
from appliance.model.host_network import HostNetwork
from appliance.model.links import BondMode, LacpRate
from appliance.model.stated_links import Bond, CabledTo, static
from appliance.model.switch import BondPorts, Switch
from appliance.plan import Plan
from appliance.scores.bonded_ports import BondedPorts
from appliance.topology import ClusterRack
from pxe.client import Mac
from tests.unit.appliance.scores.test_cluster import NAMES, rack, record
from tests.unit.appliance.scores.test_scores import FACTS

__all__ = ["rack"]
LEAF = Switch(name="leaf-1", address=IPv4Address("10.0.0.1"), user="a", host_key=f"ssh-ed25519 {'A' * 68}")
ONE = NAMES[0]
NICS = tuple(replace(FACTS.nics[0], name=f"eth{at}", mac=Mac(f"52:54:00:77:00:0{at}"), carrier=True) for at in (1, 2))
HEARD = tuple(
    Neighbour(nic=f"eth{at}", system="leaf-1.dc.example", chassis="00:1c:73:00:00:01", port=f"Ethernet{at}")
    for at in (1, 2)
)
CABLED = replace(FACTS, nics=NICS, neighbours=HEARD)
NETWORK = HostNetwork(
    links=(
        Bond(
            name="bond0",
            members=(CabledTo("leaf-1", "Ethernet1"), CabledTo("leaf-1", "Ethernet2")),
            mode=BondMode.LACP,
            lacp_rate=LacpRate.FAST,
            ip=static("10.77.0.11/24"),
        ),
    )
)
SCORE = BondedPorts(networks={ONE: NETWORK}, vlan=10)


def planned(rack: ClusterRack, score: BondedPorts = SCORE, **changes: object) -> Plan:
    one = record(ONE, **{"facts": CABLED, **changes})
    site = replace(rack, switches=(LEAF,))
    return score.plan(site, Inventory(machines={ONE: one}, images={}))


def test_ports_are_those_that_lldp_was_heard_on(rack: ClusterRack) -> None:
    (step,) = planned(rack).steps
    assert isinstance(step.do, BondPorts)
    assert (step.do.switch, step.do.ports, step.do.channel) == ("leaf-1", ("Ethernet1", "Ethernet2"), 101)
    assert step.needs == (f"install-linux.{ONE}.confirm-shell",)
    assert "password" not in repr(step)
    assert not planned(rack, bonded=step.do.network).steps


def test_who_is_not_installed_yet_has_to_wait(rack: ClusterRack) -> None:
    plan = planned(rack, installed=None)
    assert not plan.steps
    assert plan.deferred[0].reason == f"{ONE}: not installed yet"


@pytest.mark.parametrize(
    ("switches", "score", "says"),
    [
        ((), SCORE, "are not all known to be at one switch"),
        ((LEAF,), replace(SCORE, networks={"nobody": NETWORK}), "machines that the site does not have: nobody"),
        (
            (LEAF,),
            replace(
                SCORE,
                networks={
                    ONE: HostNetwork(
                        links=(replace(NETWORK.links[0], mode=BondMode.ACTIVE_BACKUP, lacp_rate=LacpRate.SLOW),)
                    )
                },
            ),  # type: ignore[type-var]
            "0 bonds by LACP are stated",
        ),
    ],
    ids=["no switch", "no machine", "no bond"],
)
def test_what_cannot_be_is_refused(
    rack: ClusterRack, switches: tuple[Switch, ...], score: BondedPorts, says: str
) -> None:
    site = replace(rack, switches=switches)
    with pytest.raises(PlanError, match=says):
        score.plan(site, Inventory(machines={ONE: record(ONE, facts=CABLED)}, images={}))

"""BondedPorts: machines that were installed over single ports get bonds, together with their switch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from appliance.capabilities import BareMachines, HostNetworks, NetworkBoot, Shell, SwitchPorts
from appliance.errors import PlanError
from appliance.install.network import Seen, resolved
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.hardware import HardwareFacts, Neighbour
from appliance.model.host_network import HostNetwork
from appliance.model.ids import MachineName
from appliance.model.links import BondLink, BondMode, MachineNetwork, NicLink, described
from appliance.model.switch import BondPorts, Switch
from appliance.plan import Deferred, Plan, Step
from appliance.scores.install_linux import NAME as INSTALL
from appliance.scores.score import Move, chain, step_id

NAME = "bonded-ports"
BUDGET = 1200.0


class BondNeeds(BareMachines, HostNetworks, NetworkBoot, Shell, SwitchPorts, Protocol): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BondedPorts:
    """`networks` is what machines have afterwards, by name: each with one bond by LACP, of NICs at one switch of the
    topology. Until then their ports are access ports of `vlan`, from which they boot. Channels are numbered from
    `first_channel` on, in the order of the topology's machines. `seconds` is how long a switch waits for the word that
    the machine answers."""

    networks: Mapping[str, HostNetwork]
    vlan: int
    first_channel: int = 101
    seconds: int = 120
    name: str = field(default=NAME, init=False)

    def plan(self, site: BondNeeds, inventory: Inventory) -> Plan:
        if strange := sorted(set(self.networks) - set(site.machines)):
            raise PlanError(
                f"bonds are stated for machines that the site does not have: {', '.join(strange)}",
                next_action="name machines of the topology",
            )
        steps, later = list[Step](), list[str]()
        for at, name in enumerate(site.machines):
            if (stated := self.networks.get(name)) is None:
                continue
            record = inventory.record(name)
            if record.facts is None or record.installed is None:
                later.append(name)
                continue
            steps += self._steps(site, record, record.facts, stated, self.first_channel + at)
        deferred = (Deferred(score=NAME, reason=f"{', '.join(later)}: not installed yet"),) if later else ()
        return Plan(site=NAME, steps=tuple(steps), deferred=deferred)

    def _steps(
        self, site: BondNeeds, record: MachineRecord, facts: HardwareFacts, stated: HostNetwork, channel: int
    ) -> Iterator[Step]:
        name = record.name
        seen = Seen(
            machine=name, facts=facts, boot_mac=site.boot_mac_of(name), boot_networks=site.boot_network.networks
        )
        network = resolved(stated, seen)
        if record.bonded == network:
            return
        bond = _bond(name, network)
        switch, ports = _ports(name, network, bond, facts, site.switches)
        do = BondPorts(
            network=network,
            bond=bond.name,
            switch=switch,
            ports=ports,
            channel=channel,
            vlan=self.vlan,
            seconds=self.seconds,
        )
        summary = f"bond {', '.join(ports)} of {switch} as channel {channel}, and {name}: {described(network)}"
        for step in chain(NAME, name, (Move(do=do, summary=summary, budget=BUDGET),)):
            yield replace(step, needs=(step_id(INSTALL, name, "confirm-shell"),))


def _bond(name: MachineName, network: MachineNetwork) -> BondLink:
    bonds = [link for link in network.links if isinstance(link, BondLink) and link.mode is BondMode.LACP]
    if len(bonds) != 1:
        raise PlanError(
            f"{name}: {len(bonds)} bonds by LACP are stated, where one can be made with a switch",
            next_action="state one Bond(mode=BondMode.LACP); others belong into the server's network",
        )
    return bonds[0]


def _ports(
    name: MachineName, network: MachineNetwork, bond: BondLink, facts: HardwareFacts, switches: Sequence[Switch]
) -> tuple[str, tuple[str, ...]]:
    """Where LLDP was heard: the name of the one switch, and a port for each member."""
    macs = [link.mac for link in network.links if isinstance(link, NicLink) and link.name in bond.members]
    nics = [nic.name for mac in macs for nic in facts.nics if nic.mac == mac]
    heard = [one for nic in nics for one in facts.neighbours if one.nic == nic]
    found = {switch.name for switch in switches for one in heard if _is(one, switch)}
    if (
        len(heard) != len(nics)
        or len(found) != 1
        or not all(_is(one, switch) for one in heard for switch in _of(switches, found))
    ):
        raise PlanError(
            f"{name}: the ports of {bond.name} are not all known to be at one switch of the topology",
            evidence="; ".join(f"{one.nic} at {one.system or one.chassis} port {one.port}" for one in heard)
            or "none heard",
            next_action="state the switch in the topology's switches by its LLDP name, and inspect the machine again",
        )
    return min(found), tuple(one.port for one in heard)


def _of(switches: Sequence[Switch], names: set[str]) -> Iterator[Switch]:
    return (switch for switch in switches if switch.name in names)


def _is(heard: Neighbour, switch: Switch) -> bool:
    known = {heard.system.lower(), heard.system.split(".")[0].lower(), heard.chassis.lower()}
    return switch.name.lower() in known

"""The network that a site program states, and a machine's facts -> its links by MAC. Pure.

A rule that fits no NIC, or more than it asks for, fails the plan with the machine, the rule and what was found: a guess
would put a machine into a wrong network.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from itertools import groupby
from typing import assert_never

from appliance.errors import PlanError
from appliance.model.hardware import HardwareFacts, Neighbour
from appliance.model.hardware import Nic as Port
from appliance.model.host_network import HostNetwork
from appliance.model.ids import MachineName
from appliance.model.links import BondLink, BridgeLink, Link, MachineNetwork, NicLink, VlanLink
from appliance.model.stated_links import (
    Bond,
    BootNic,
    Bridge,
    ByMac,
    CabledTo,
    Fastest,
    Nic,
    NicRule,
    Stated,
    Vlan,
    rules_of,
)
from appliance.model.text import clean
from pxe.client import Mac

_SHOWN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A machine as it was found. `boot_mac`: as its server states it; `boot_networks`: where ramdisks get addresses."""

    machine: MachineName
    facts: HardwareFacts
    boot_mac: Mac | None
    boot_networks: tuple[IPv4Network, ...]


def resolved(network: HostNetwork, seen: Seen) -> MachineNetwork:
    """Raises `PlanError`."""
    chosen = _chosen(network, seen)
    boot = _boot_ports(seen)
    return MachineNetwork(links=tuple(link for one in network.links for link in _links(one, chosen, boot)))


def _chosen(network: HostNetwork, seen: Seen) -> Mapping[NicRule, Sequence[Port]]:
    """The NICs of each rule. That for the fastest comes last: it takes of those that are left."""
    rules = sorted((rule for link in network.links for rule in rules_of(link)), key=lambda r: isinstance(r, Fastest))
    chosen: dict[NicRule, Sequence[Port]] = {}
    owners: dict[Mac, NicRule] = {}
    for rule in rules:
        chosen[rule] = _ports(rule, seen, frozenset(owners))
        for port in chosen[rule]:
            if port.mac in owners:
                raise _error(
                    seen, f"{owners[port.mac]} and {rule} are one NIC, {port.mac}", "correct one of the two rules"
                )
            owners[port.mac] = rule
    return chosen


def _ports(rule: NicRule, seen: Seen, taken: frozenset[Mac]) -> Sequence[Port]:
    match rule:
        case ByMac(mac=mac):
            return _one(rule, seen, [port for port in seen.facts.nics if port.mac == mac])
        case BootNic():
            return _one(rule, seen, _boot_ports(seen))
        case CabledTo(switch=switch, port=port):
            heard = {one.nic for one in seen.facts.neighbours if _is(one, switch, port)}
            return _one(rule, seen, [nic for nic in seen.facts.nics if nic.name in heard])
        case Fastest():
            return _fastest(rule, seen, taken)
        case _:
            assert_never(rule)


def _one(rule: NicRule, seen: Seen, found: Sequence[Port]) -> Sequence[Port]:
    if len(found) != 1:
        many = f"{len(found)} NICs fit {rule}" if found else f"no NIC is {rule}"
        raise _error(seen, many, "correct the rule in the site program, or the cabling, and inspect the machine again")
    return found


def _boot_ports(seen: Seen) -> Sequence[Port]:
    """The stated MAC, else the ports that had an address of a boot network while the ramdisk ran."""
    stated = [port for port in seen.facts.nics if port.mac == seen.boot_mac]
    inside = (
        port
        for port in seen.facts.nics
        if any(address in network for address in port.addresses for network in seen.boot_networks)
    )
    return stated or list(inside)


def _is(heard: Neighbour, switch: str, port: str) -> bool:
    names = {name.lower() for name in (heard.system, heard.system.split(".")[0], heard.chassis) if name}
    return switch.lower() in names and heard.port.lower() == port.lower()


def _fastest(rule: Fastest, seen: Seen, taken: frozenset[Mac]) -> Sequence[Port]:
    """Of equally fast ones either all are taken or none: which port comes first is chance."""
    free = [port for port in seen.facts.nics if port.carrier and port.mac not in taken]
    ordered = sorted(free, key=lambda port: (-(port.speed_mbps or 0), port.mac))
    chosen: list[Port] = []
    for _, group in groupby(ordered, key=lambda port: port.speed_mbps or 0):
        if len(chosen) < rule.count:
            chosen += group
    if len(chosen) < rule.count:
        raise _error(seen, f"{len(chosen)} NICs are there for {rule}", "cable another one, or ask for fewer")
    if len(chosen) > rule.count:
        raise _error(seen, f"{len(chosen)} NICs are equally fast for {rule}", "name them by MAC or by switch port")
    return chosen


def _links(link: Stated, chosen: Mapping[NicRule, Sequence[Port]], boot: Sequence[Port]) -> Iterator[Link]:
    match link:
        case Nic():
            yield NicLink(name=link.name, mac=chosen[link.on][0].mac, mtu=link.mtu, ip=link.ip)
        case Bond():
            yield from _bond(link, chosen, boot)
        case Vlan():
            yield VlanLink(name=link.name, id=link.id, parent=link.parent, mtu=link.mtu, ip=link.ip)
        case Bridge():
            yield BridgeLink(name=link.name, ports=link.ports, mtu=link.mtu, ip=link.ip)
        case _:
            assert_never(link)


def _bond(bond: Bond, chosen: Mapping[NicRule, Sequence[Port]], boot: Sequence[Port]) -> Iterator[Link]:
    """It has the MAC of the boot NIC, where that is a member: DHCP and switch see one machine, installed or not."""
    members = tuple(
        NicLink(name=f"{bond.name}p{at}", mac=port.mac)
        for at, port in enumerate(port for rule in bond.members for port in chosen[rule])
    )
    primary = chosen[bond.primary][0].mac if bond.primary is not None else None
    booted = (member.mac for member in members if any(member.mac == port.mac for port in boot))
    yield from members
    yield BondLink(
        name=bond.name,
        members=tuple(member.name for member in members),
        mode=bond.mode,
        mac=next(booted, members[0].mac),
        primary=next((member.name for member in members if member.mac == primary), ""),
        lacp_rate=bond.lacp_rate,
        hash_policy=bond.hash_policy,
        mtu=bond.mtu,
        ip=bond.ip,
    )


def _error(seen: Seen, what: str, action: str) -> PlanError:
    return PlanError(
        f"{seen.machine}: network: {what}", evidence=_found(seen), next_action=action, machine=seen.machine
    )


def _found(seen: Seen) -> str:
    nics = "; ".join(_port(port, seen.facts.neighbours) for port in seen.facts.nics[:_SHOWN])
    unsure = ", ".join(f"{one.system or one.chassis} port {one.port}" for one in seen.facts.neighbours if not one.nic)
    return clean(f"found: {nics or 'no NIC'}{'; heard, on a NIC not known: ' + unsure if unsure else ''}", 900)


def _port(port: Port, neighbours: Sequence[Neighbour]) -> str:
    heard = [f"at {one.system or one.chassis} port {one.port}" for one in neighbours if one.nic == port.name]
    speed = f"{port.speed_mbps} Mbit/s" if port.speed_mbps else "link" if port.carrier else "no link"
    return " ".join((port.name, str(port.mac), speed, *heard))

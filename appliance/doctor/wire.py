"""The boot NIC and the switch port behind it: facts -> findings. Pure."""

from collections.abc import Iterator

from appliance.doctor.facts import Nic, Wire
from appliance.doctor.say import failure, good, unknown, warning
from appliance.doctor.sighting import Bpdu, Lacpdu, Neighbour
from appliance.model.doctor import Check, Finding

BPDU_SECONDS = 6.0
"""A bridge says hello every 2 s (IEEE 802.1D-2004 table 17-1); three of them cannot all be missed."""
NEIGHBOUR_SECONDS = 31.0
"""LLDP's msgTxInterval is 30 s (IEEE 802.1AB-2016 9.2.5.7), LACP's slow period as long (802.1AX 6.4.4)."""

_ETHERNET_MTU = 1500
_SLOW = 1000
_OVERHEAD = 18  # Ethernet header and checksum


def link(nic: Nic | None, device: str) -> tuple[Finding, ...]:
    """None: there is no such device."""
    if nic is None:
        return (
            failure(
                Check.LINK,
                f"the boot NIC {device} is not there",
                action="name a NIC of this appliance in the site program: BootNetwork(device=...)",
                command="ip -br link",
            ),
        )
    if not nic.up:
        cause, command = f"the boot NIC {device} is switched off: no machine can boot", f"ip link set {device} up"
        return (failure(Check.LINK, cause, "interface flags: not up", "switch it on", command),)
    if not nic.carrier and nic.bridge:
        cause = f"no port of the bridge {device} has a link: all behind it are off"
        action = "none, where what comes switches virtual machines on; else look at its ports"
        return (warning(Check.LINK, cause, "carrier: none", action, f"bridge link show {device}"),)
    if not nic.carrier:
        cause = f"the boot NIC {device} has no link: no machine can boot"
        action = "plug in its cable, or look at the switch port and the transceiver"
        return (failure(Check.LINK, cause, "carrier: none", action, f"ethtool {device}"),)
    found = tuple(_slow_or_odd(nic))
    speed = "unknown speed" if nic.speed is None else f"{nic.speed} Mbit/s"
    return found or (good(Check.LINK, f"{device} has a link", f"{speed}, MTU {nic.mtu}"),)


def _slow_or_odd(nic: Nic) -> Iterator[Finding]:
    command = f"ethtool {nic.device}"
    if nic.speed is not None and nic.speed < _SLOW:
        cause = f"the boot NIC {nic.device} runs at {nic.speed} Mbit/s: images will take long"
        yield warning(Check.LINK, cause, f"speed {nic.speed} Mbit/s", "try another cable, then the other port", command)
    if nic.full_duplex is False:
        cause = f"the boot NIC {nic.device} is half duplex: its switch port does not negotiate"
        action = "let both sides negotiate speed and duplex"
        yield warning(Check.LINK, cause, "duplex half", action, f"ethtool -s {nic.device} autoneg on")
    if nic.mtu < _ETHERNET_MTU:
        cause = f"the boot NIC {nic.device} has an MTU of {nic.mtu}: firmware sends frames of {_ETHERNET_MTU}"
        action = f"set it to {_ETHERNET_MTU}"
        command = f"ip link set {nic.device} mtu {_ETHERNET_MTU}"
        yield warning(Check.LINK, cause, f"MTU {nic.mtu}", action, command)


def spanning_tree(wire: Wire, device: str) -> tuple[Finding, ...]:
    if wire.bpdus:
        return (_not_an_edge(wire.bpdus[0], device),)
    return _silence(Check.SPANNING_TREE, wire, BPDU_SECONDS, f"no spanning tree on {device}")


def _not_an_edge(bpdu: Bpdu, device: str) -> Finding:
    delay = 2 * bpdu.forward_delay
    protocol = {0: "STP", 2: "RSTP", 3: "MSTP"}.get(bpdu.version, "spanning tree")
    return warning(
        Check.SPANNING_TREE,
        f"the switch speaks spanning tree to {device}: a port that is no edge port lets nothing through for "
        f"{delay:.0f} s after each link-up, and firmware gives up sooner",
        f"{protocol} BPDU of bridge {bpdu.bridge}, port {bpdu.port:#06x}, forward delay {bpdu.forward_delay:.0f} s",
        "make the ports of the machines edge ports (PortFast) on that switch, and this one too",
        f"tcpdump -e -v -c 3 -i {device} stp",
    )


def bond(wire: Wire, device: str) -> tuple[Finding, ...]:
    if wire.lacpdus:
        return (_waits_for_a_bond(wire.lacpdus[0], device),)
    return _silence(Check.BOND, wire, NEIGHBOUR_SECONDS, f"no switch port waits for a bond on {device}")


def _waits_for_a_bond(seen: Lacpdu, device: str) -> Finding:
    return warning(
        Check.BOND,
        f"the switch port behind {device} is one of a bond (LACP), and firmware knows no bonds: "
        "such a port may hold back what machines send",
        f"LACPDU of system {seen.system}, key {seen.key}, port {seen.port}",
        "take the port out of the bond, or let it forward alone (LACP fallback, `no lacp suspend-individual`)",
        f"tcpdump -e -v -c 1 -i {device} ether proto 0x8809",
    )


def neighbour(wire: Wire, nic: Nic | None, device: str) -> tuple[Finding, ...]:
    if not wire.neighbours:
        return _silence(Check.NEIGHBOUR, wire, NEIGHBOUR_SECONDS, f"no switch names itself on {device}")
    found = [one for seen in wire.neighbours for one in (_mismatches(seen, nic) if nic is not None else ())]
    return tuple(found) or tuple(
        good(Check.NEIGHBOUR, f"{device} is plugged in", who(seen)) for seen in wire.neighbours
    )


def who(seen: Neighbour) -> str:
    """ "switch leaf-3 (00:1c:73:aa:bb:01), port Ethernet7, VLAN 20, frames of 9236 bytes" """
    name = f"{seen.system} ({seen.chassis})" if seen.system else seen.chassis
    vlan = "" if seen.vlan is None else f", VLAN {seen.vlan}" if seen.vlan else ", no untagged VLAN"
    frames = "" if seen.max_frame is None else f", frames of {seen.max_frame} bytes"
    return f"switch {name}, port {seen.port}{vlan}{frames}"


def _mismatches(seen: Neighbour, nic: Nic) -> Iterator[Finding]:
    at, command = (
        f"port {seen.port} of {seen.system or seen.chassis}",
        f"tcpdump -v -c 1 -i {nic.device} ether proto 0x88cc",
    )
    if seen.max_frame is not None and 0 < seen.max_frame < nic.mtu + _OVERHEAD:
        cause = f"{at} takes frames of {seen.max_frame} bytes, and {nic.device} sends larger ones: they are lost"
        mtu = seen.max_frame - _OVERHEAD
        action = "raise the MTU of the switch port, or lower that of the NIC"
        yield warning(Check.NEIGHBOUR, cause, who(seen), action, f"ip link set {nic.device} mtu {mtu}")
    if nic.vlan is None and seen.vlan == 0:
        cause = f"{at} carries no untagged VLAN, and {nic.device} sends untagged frames"
        yield warning(Check.NEIGHBOUR, cause, who(seen), "give the port its boot VLAN as native VLAN", command)
    if nic.vlan is not None and nic.vlan == seen.vlan:
        cause = f"VLAN {nic.vlan} is untagged on {at}, and {nic.device} sends it tagged"
        yield warning(Check.NEIGHBOUR, cause, who(seen), "use the NIC itself, or tag the VLAN on the switch", command)
    elif nic.vlan is not None and seen.vlans and nic.vlan not in seen.vlans:
        cause = f"{at} does not carry VLAN {nic.vlan}, which {nic.device} is in"
        yield warning(Check.NEIGHBOUR, cause, who(seen), f"let the switch port carry VLAN {nic.vlan}", command)


def _silence(check: Check, wire: Wire, enough: float, says: str) -> tuple[Finding, ...]:
    """Nothing was heard: that says something only after a while."""
    if wire.problem:
        action = "mend what it names; it is tried again by itself"
        return (unknown(check, "nobody listens to the wire", wire.problem, action, "innervate doctor --wait"),)
    heard = f"listened for {wire.listened:.0f} s"
    if wire.listened < enough:
        cause = f"not listened for long enough yet: {enough:.0f} s are needed"
        return (unknown(check, cause, heard, "wait a moment", "innervate doctor --wait"),)
    return (good(check, says, heard),)

"""Others on the boot segment: DHCP servers, and owners of addresses that are ours. Pure."""

from collections.abc import Iterator, Sequence

from appliance.doctor.facts import Claim, Servers
from appliance.doctor.say import failure, good, warning
from appliance.doctor.sighting import Offer
from appliance.model.doctor import Check, Finding


def other_dhcp(facts: Servers) -> tuple[Finding, ...]:
    """Beside a full server there is none; beside a proxy there is one."""
    rivals = tuple({offer.server: offer for offer in facts.offers if offer.server not in facts.own}.values())
    if not facts.gives_addresses:
        return _beside_a_proxy(rivals, facts)
    return tuple(_rivals(rivals, facts)) or (good(Check.DHCP, f"no other DHCP server answers on {facts.device}"),)


def _rivals(rivals: Sequence[Offer], facts: Servers) -> Iterator[Finding]:
    shows = f"tcpdump -n -e -i {facts.device} port 67 or port 68"
    for rival in rivals:
        name = f" ({rival.vendor})" if rival.vendor else ""
        yield failure(
            Check.DHCP,
            f"another DHCP server {rival.server}{name} gives out addresses on {facts.device}: machines may take its "
            "address and not boot",
            f"it offered {rival.address}, from hardware address {rival.mac}",
            "find its switch port by the hardware address and stop it, or use Mode.PROXY beside it",
            shows,
        )
    for told in facts.told:
        if facts.passive:
            action = "stop the other server, then let this appliance ask again"
            yield failure(Check.DHCP, "this appliance answers no machine", told, action, "innervate take-over")
        elif not any(rival.server in told for rival in rivals):
            cause = "another DHCP server was heard lately, and does not answer now"
            yield warning(Check.DHCP, cause, told, "it is forgotten after three minutes of silence", shows)


def _beside_a_proxy(servers: Sequence[Offer], facts: Servers) -> tuple[Finding, ...]:
    if not servers:
        return (
            failure(
                Check.DHCP,
                f"nobody gives out addresses on {facts.device}: this appliance runs as a proxy beside a DHCP server, "
                "and there is none",
                "no answer to three DHCPDISCOVERs",
                "start the site's DHCP server, or let this appliance give out addresses: Mode.FULL",
                f"tcpdump -n -e -i {facts.device} port 67 or port 68",
            ),
        )
    if len(servers) > 1:
        names = ", ".join(f"{offer.server} ({offer.mac})" for offer in servers)
        action = "see whether they are meant to be a pair"
        return (warning(Check.DHCP, f"{len(servers)} DHCP servers give out addresses", names, action),)
    return (good(Check.DHCP, f"{servers[0].server} gives out addresses on {facts.device}"),)


def duplicates(claims: Sequence[Claim], device: str) -> tuple[Finding, ...]:
    found = tuple(one for claim in claims for one in _claimed(claim, device))
    return found or (good(Check.ADDRESSES, f"nobody else answers for our {len(claims)} addresses"),)


def _claimed(claim: Claim, device: str) -> Iterator[Finding]:
    others = tuple(mac for mac in claim.macs if mac not in claim.known)
    if not others:
        return
    seen, command = f"ARP answer from {', '.join(others)}", f"arping -D -c 3 -I {device} {claim.address}"
    if not claim.machine:
        cause = f"another host has this appliance's address {claim.address}: machines reach one or the other"
        yield failure(Check.ADDRESSES, cause, seen, "find it by its hardware address, and give it another one", command)
        return
    action = f"give that host another address, or {claim.machine} another reservation"
    cause = f"another host has the address {claim.address}, which is reserved for {claim.machine}"
    say = failure if claim.known else warning
    cause += "" if claim.known else " (or it is that machine: its hardware addresses are not known yet)"
    yield say(Check.ADDRESSES, cause, seen, action, command, claim.machine)

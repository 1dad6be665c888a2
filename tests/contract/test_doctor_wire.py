"""The doctor on a real segment: what is really sent there is found, and on a clean one there is nothing to find."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import pytest
from scapy.contrib.lacp import LACP, SlowProtocol
from scapy.contrib.lldp import (
    LLDPDUChassisID,
    LLDPDUEndOfLLDPDU,
    LLDPDUGenericOrganisationSpecific,
    LLDPDUPortID,
    LLDPDUSystemName,
    LLDPDUTimeToLive,
)
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import LLC, SNAP, STP, Dot3, Ether
from scapy.packet import Packet, Raw
from scapy.sendrecv import sendp

from appliance.doctor import looks, segment, wire
from appliance.doctor.device import nic, own_macs, parent
from appliance.doctor.facts import Claim, Nic, Servers
from appliance.doctor.sighting import parse
from appliance.doctor.watch import WireWatch
from appliance.errors import MachineryError
from appliance.model.doctor import Check, Finding, Verdict
from appliance.system import SystemClock
from images.processes import HostProcesses
from tests.contract.segment import DEADLINE, DEVICE, dnsmasq, inside, ip
from tests.contract.segment import segment as segment_of

T = TypeVar("T")

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
needs_dnsmasq = pytest.mark.skipif(shutil.which("dnsmasq") is None, reason="dnsmasq is not installed")

OURS, FOREIGN, RESERVED = (IPv4Address(f"10.20.0.{number}") for number in (1, 3, 50))
PORT = "port0"
"""The switch's end of our cable."""
SWITCH = "02:00:00:00:00:01"
BRIDGE = "02:00:00:00:00:09"


@pytest.fixture(scope="module")
def hosts() -> Iterator[dict[str, str]]:
    with segment_of({"ours": f"{OURS}/24", "foreign": f"{FOREIGN}/24"}) as hosts:
        yield hosts


def here(hosts: dict[str, str], work: Callable[[], Awaitable[T]]) -> T:
    """Of one loop, in our own namespace: processes that it starts are there, too."""

    async def whole() -> T:
        return await work()

    with inside(hosts["ours"]):
        return asyncio.run(whole())


def bpdu(**fields: object) -> Packet:
    tree = STP(**{"bridgemac": BRIDGE, "portid": 0x8003, "fwddelay": 15, **fields})
    return Dot3(dst="01:80:c2:00:00:00", src=SWITCH) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / tree


def pvst_bpdu() -> Packet:
    head = Dot3(dst="01:00:0c:cc:cc:cd", src=SWITCH) / LLC(dsap=0xAA, ssap=0xAA, ctrl=3)
    return head / SNAP(OUI=0x00000C, code=0x010B) / STP(bridgemac=BRIDGE, portid=0x8003, version=2)


def lacpdu() -> Packet:
    bond = LACP(actor_system=BRIDGE, actor_key=7, actor_port_number=3)
    return Ether(dst="01:80:c2:00:00:02", src=SWITCH) / SlowProtocol() / bond


def lldp(*more: tuple[int, int, bytes], system: bytes = b"leaf-3") -> Packet:
    frame = Ether(dst="01:80:c2:00:00:0e", src=SWITCH) / LLDPDUChassisID(subtype=4, id=BRIDGE)
    frame = frame / LLDPDUPortID(subtype=5, id=b"Ethernet7") / LLDPDUTimeToLive(ttl=120)
    frame = frame / LLDPDUSystemName(system_name=system)
    for code, subtype, data in more:
        frame = frame / LLDPDUGenericOrganisationSpecific(org_code=code, subtype=subtype, data=data)
    return frame / LLDPDUEndOfLLDPDU()


MTU_1500 = (0x00120F, 4, (1518).to_bytes(2))
MTU_9000 = (0x00120F, 4, (9018).to_bytes(2))
NO_VLAN = (0x0080C2, 1, bytes(2))
VLAN_20 = (0x0080C2, 1, (20).to_bytes(2))


@contextmanager
def sending(*frames: Packet) -> Iterator[None]:
    """Again and again, out of the switch port that our cable is in."""
    stop = threading.Event()

    def send() -> None:
        with inside(f"seg-{os.getpid()}"):
            while not stop.wait(0.1):
                sendp(list(frames), iface=PORT, verbose=False)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


async def watched(until: Callable[[WireWatch], bool], device: str = DEVICE) -> WireWatch:
    watch = WireWatch(device, HostProcesses(), SystemClock())
    task = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(DEADLINE):
            while not until(watch):
                await SystemClock().sleep(0.02)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return watch


def test_spanning_tree_is_seen_with_its_delay(hosts: dict[str, str]) -> None:
    with sending(bpdu(fwddelay=20, version=0)):
        seen = here(hosts, lambda: watched(lambda watch: bool(watch.facts().bpdus)))
    (finding,) = wire.spanning_tree(seen.facts(), DEVICE)
    assert finding.verdict is Verdict.WARNING
    assert "lets nothing through for 40 s" in finding.cause
    assert f"STP BPDU of bridge {BRIDGE}, port 0x8003, forward delay 20 s" in finding.evidence
    assert "PortFast" in finding.next_action
    assert finding.command.startswith("tcpdump")


def test_spanning_tree_of_cisco_for_each_vlan_is_seen(hosts: dict[str, str]) -> None:
    with sending(pvst_bpdu()):
        seen = here(hosts, lambda: watched(lambda watch: bool(watch.facts().bpdus)))
    assert wire.spanning_tree(seen.facts(), DEVICE)[0].evidence.startswith(f"RSTP BPDU of bridge {BRIDGE}")


def test_a_port_that_waits_for_a_bond_is_seen(hosts: dict[str, str]) -> None:
    with sending(lacpdu()):
        seen = here(hosts, lambda: watched(lambda watch: bool(watch.facts().lacpdus)))
    (finding,) = wire.bond(seen.facts(), DEVICE)
    assert finding.verdict is Verdict.WARNING
    assert finding.evidence == f"LACPDU of system {BRIDGE}, key 7, port 3"


@pytest.mark.parametrize(
    ("tlvs", "mtu", "words"),
    [
        ((MTU_1500, VLAN_20), 9000, "takes frames of 1518 bytes, and eth sends larger ones"),
        ((MTU_9000, NO_VLAN), 1500, "carries no untagged VLAN"),
        ((MTU_1500, VLAN_20), 1500, ""),
    ],
    ids=["mtu", "vlan", "fits"],
)
def test_a_switch_says_who_it_is_and_what_does_not_fit(
    hosts: dict[str, str], tlvs: tuple[tuple[int, int, bytes], ...], mtu: int, words: str
) -> None:
    ip("-n", hosts["ours"], "link", "set", DEVICE, "mtu", str(mtu))
    try:
        with sending(lldp(*tlvs)):
            seen = here(hosts, lambda: watched(lambda watch: bool(watch.facts().neighbours)))
        with inside(hosts["ours"]):
            device = nic(DEVICE)
        assert device is not None
        assert device.mtu == mtu
        (finding,) = wire.neighbour(seen.facts(), device, DEVICE)
    finally:
        ip("-n", hosts["ours"], "link", "set", DEVICE, "mtu", "1500")
    assert finding.evidence.startswith(f"switch leaf-3 ({BRIDGE}), port Ethernet7, ")
    assert finding.verdict is (Verdict.WARNING if words else Verdict.OK)
    assert words in finding.cause


def test_what_strangers_send_ends_in_no_terminal_and_ends_no_observer(hosts: dict[str, str]) -> None:
    cut = Ether(dst="01:80:c2:00:00:0e", src=SWITCH, type=0x88CC) / Raw(b"\x02\xff\x04")
    odd = Ether(dst="01:80:c2:00:00:02", src=SWITCH, type=0x8809) / Raw(b"\x01")
    nothing = Dot3(dst="01:80:c2:00:00:00", src=SWITCH) / LLC(dsap=0x42, ssap=0x42, ctrl=3) / Raw(b"\0")
    with sending(cut, odd, nothing, lldp(system=b"\x1b[2Jleaf\n\x00" + b"\xff" * 40)):
        seen = here(hosts, lambda: watched(lambda watch: bool(watch.facts().neighbours)))
    evidence = wire.neighbour(seen.facts(), None, DEVICE)[0].evidence
    assert evidence.isprintable()
    assert "leaf" in evidence


def test_ordinary_traffic_is_not_even_looked_at(hosts: dict[str, str]) -> None:
    """The filter is the kernel's: of a frame to somebody else nothing is printed."""
    other = Ether(dst="ff:ff:ff:ff:ff:ff", src=SWITCH) / IP(dst="255.255.255.255") / UDP(dport=9) / Raw(b"x" * 60)

    async def listen() -> list[bytes]:
        argv = looks.program("observe", DEVICE, "1.5")
        return [line async for line in HostProcesses().lines(argv, seconds=DEADLINE)]

    with sending(other):
        (line,) = here(hosts, listen)
    assert parse(line).kind == "listening"


def test_the_observer_ends_with_who_started_it(hosts: dict[str, str]) -> None:
    program = (
        "import asyncio, sys\n"
        "from contextlib import aclosing\n"
        "from appliance.doctor.looks import program\n"
        "from images.processes import HostProcesses\n"
        "async def main():\n"
        f"    async with aclosing(HostProcesses().lines(program('observe', '{DEVICE}', '60'), seconds=60)) as lines:\n"
        "        async for line in lines:\n"
        "            import os\n"
        "            os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    argv = ["ip", "netns", "exec", hosts["ours"], sys.executable, "-c", program]
    assert subprocess.run(argv, check=False, timeout=60, cwd=Path(__file__).parents[2]).returncode == -9
    left = subprocess.run(["ip", "netns", "pids", hosts["ours"]], capture_output=True, text=True, check=True)
    end = time.monotonic() + DEADLINE
    while any(Path(f"/proc/{pid}").exists() for pid in left.stdout.split()):
        assert time.monotonic() < end


def test_a_device_that_is_not_there_is_why_nobody_listens(hosts: dict[str, str]) -> None:
    seen = here(hosts, lambda: watched(lambda watch: "absent0" in watch.facts().problem, "absent0"))
    (finding,) = wire.bond(seen.facts(), "absent0")
    assert finding.verdict is Verdict.UNKNOWN
    assert "absent0" in finding.evidence


def servers(offers: tuple[object, ...], *, gives: bool = True) -> Servers:
    return Servers(gives_addresses=gives, device=DEVICE, own=frozenset({str(OURS)}), offers=offers)  # type: ignore[arg-type]


@needs_dnsmasq
def test_a_rogue_dhcp_server_is_found_by_asking(hosts: dict[str, str], tmp_path: Path) -> None:
    with dnsmasq(hosts["foreign"], tmp_path, "10.20.0.100,10.20.0.120,255.255.255.0,5m"):
        offers = here(hosts, lambda: looks.offers(HostProcesses(), DEVICE))
    (finding,) = segment.other_dhcp(servers(offers))
    assert finding.verdict is Verdict.FAILURE
    assert f"another DHCP server {FOREIGN}" in finding.cause
    assert "it offered 10.20.0.1" in finding.evidence
    assert "52:54:00:00:01:01" in finding.evidence
    assert segment.other_dhcp(servers(offers, gives=False))[0].verdict is Verdict.OK


def test_nobody_answers_on_a_clean_segment(hosts: dict[str, str]) -> None:
    offers = here(hosts, lambda: looks.offers(HostProcesses(), DEVICE))
    assert offers == ()
    assert segment.other_dhcp(servers(offers))[0].verdict is Verdict.OK
    assert segment.other_dhcp(servers(offers, gives=False))[0].verdict is Verdict.FAILURE


def test_nobody_could_ask_is_not_nobody_answered(hosts: dict[str, str]) -> None:
    with pytest.raises(MachineryError) as caught:
        here(hosts, lambda: looks.offers(HostProcesses(), "absent0"))
    assert "absent0" in caught.value.evidence


def duplicates(hosts: dict[str, str]) -> tuple[Finding, ...]:
    with inside(hosts["ours"]):
        ours = Claim(address=OURS, known=own_macs())
        reserved = Claim(address=RESERVED, machine="node-0", known=frozenset({"52:54:00:77:00:01"}))
        claims = looks.claimed(DEVICE, (ours, reserved))
    return segment.duplicates(claims, DEVICE)


@pytest.mark.parametrize(("address", "machine"), [(OURS, ""), (RESERVED, "node-0")], ids=["ours", "reserved"])
def test_another_host_with_our_address_is_found(hosts: dict[str, str], address: IPv4Address, machine: str) -> None:
    assert [finding.verdict for finding in duplicates(hosts)] == [Verdict.OK]
    ip("-n", hosts["foreign"], "addr", "add", f"{address}/24", "dev", DEVICE)
    try:
        (finding,) = duplicates(hosts)
    finally:
        ip("-n", hosts["foreign"], "addr", "del", f"{address}/24", "dev", DEVICE)
    assert (finding.check, finding.verdict, finding.machine) == (Check.ADDRESSES, Verdict.FAILURE, machine)
    assert "52:54:00:00:01:01" in finding.evidence
    assert str(address) in finding.command


def looked_at(hosts: dict[str, str], device: str = DEVICE) -> Nic | None:
    with inside(hosts["ours"]):
        return nic(device)


def test_the_link_is_what_the_kernel_says(hosts: dict[str, str]) -> None:
    healthy = looked_at(hosts)
    assert healthy is not None
    assert (healthy.up, healthy.carrier, healthy.mtu, healthy.vlan) == (True, True, 1500, None)
    assert healthy.speed == 10_000
    assert [finding.verdict for finding in wire.link(healthy, DEVICE)] == [Verdict.OK]
    assert looked_at(hosts, "absent0") is None
    with inside(hosts["ours"]):
        assert parent(DEVICE) == DEVICE


@pytest.mark.parametrize(
    ("begin", "end", "words"),
    [
        (("ours", "link", "set", DEVICE, "down"), ("ours", "link", "set", DEVICE, "up"), "is switched off"),
        (("switch", "link", "set", PORT, "down"), ("switch", "link", "set", PORT, "up"), "has no link"),
        (("ours", "link", "set", DEVICE, "mtu", "1280"), ("ours", "link", "set", DEVICE, "mtu", "1500"), "MTU of 1280"),
    ],
    ids=["down", "no-carrier", "mtu"],
)
def test_what_is_wrong_with_the_link(
    hosts: dict[str, str], begin: tuple[str, ...], end: tuple[str, ...], words: str
) -> None:
    places = {**hosts, "switch": f"seg-{os.getpid()}"}
    ip("-n", places[begin[0]], *begin[1:])
    try:
        (finding,) = wire.link(looked_at(hosts), DEVICE)
    finally:
        ip("-n", places[end[0]], *end[1:])
    assert words in finding.cause
    assert finding.command


def test_a_clean_wire_is_ok_after_long_enough(hosts: dict[str, str]) -> None:
    seen = here(hosts, lambda: watched(lambda watch: watch.facts().listened > 0.3))
    facts = seen.facts()
    for finding in (
        *wire.spanning_tree(facts, DEVICE),
        *wire.bond(facts, DEVICE),
        *wire.neighbour(facts, None, DEVICE),
    ):
        assert finding.verdict is Verdict.UNKNOWN
        assert finding.command == "innervate doctor --wait"

"""What the boot services noticed, as few records."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.bmc.discovery import Sign, Suspect, Traits
from appliance.model.hardware import Firmware
from appliance.model.ids import Nonce
from appliance.services.reports import FirstBoot
from appliance.services.views import describe
from appliance.store.records import FactsReceived, FirstBootSeen, Noted, PowerCommanded
from images.agent import protocol
from pxe.boot import Chain, RunKernel, Wait
from pxe.client import Arch, Mac, Stage
from pxe.dhcp.address import Hardware, packed
from pxe.dhcp.alarm import Level, PoolAlarm
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.dhcp.proxy_server import ProxyEvent, ProxyKind
from pxe.dhcp.watch import ProxyIgnored, Why
from pxe.http.server import HttpEvent
from pxe.ladder import ChainChanged
from pxe.routes import ScriptEvent
from pxe.service import PxeEvent
from pxe.tftp.responder import Outcome
from pxe.tftp.server import TftpEvent
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.virtual import run
from tests.unit.appliance.store.samples import ADDRESS, NODE

MAC = Mac("52:54:00:77:00:01")
ACK = DhcpEvent(
    kind=Kind.ACK, hardware=Hardware(bytes(MAC)), stage=Stage.FIRMWARE, arch=Arch.BIOS, given=packed(ADDRESS)
)
TFTP = TftpEvent(client=ADDRESS, name="undionly.kpxe\x1b[2J", outcome=Outcome.FINISHED, sent=9, seconds=0.5)
SCRIPT = ScriptEvent(mac=MAC, uuid=None, intent=RunKernel, address=ADDRESS)
HTTP = HttpEvent(client=ADDRESS, method="GET", path="/", status=200, sent=1, total=1, seconds=0.1)
CHANGED = ChainChanged(mac=MAC, chain=Chain.SIGNED, filename="shimx64.efi", reason="it refused snponly.efi twice")
IGNORED = ProxyIgnored(mac=MAC, arch=Arch.EFI_X64, why=Why.NO_REQUEST, advice="set option 67")
PROXIED = ProxyEvent(
    kind=ProxyKind.ACK,
    mac=MAC,
    stage=Stage.FIRMWARE,
    arch=Arch.BIOS,
    uuid=None,
    address=ADDRESS,
    filename="undionly.kpxe",
)
STRANGER = Mac("52:54:00:00:00:99")
LEASED = "address 10.77.0.51 leased"
DHCP_SEEN = "dhcp: 10.77.0.51 to 52:54:00:77:00:01, firmware, BIOS"
PROXY_SEEN = "dhcp: proxy offer to 52:54:00:77:00:01, firmware, undionly.kpxe"
TFTP_SEEN = "tftp: undionly.kpxe, 9 bytes in 0.5 s to 10.77.0.51"
SCRIPT_SEEN = "script: boot script to 10.77.0.51"


def play(folder: Path, scene: Callable[[Net], Awaitable[None]]) -> None:
    async def whole() -> None:
        rack = FakeRack(folder)
        try:
            await scene(Net(rack))
        finally:
            await rack.close()

    run(whole())


async def said(net: Net) -> list[str]:
    await asyncio.sleep(1)
    return [describe(e.record) for e in await net.memory.read(after=0, machine=None, limit=1000)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([ACK], [LEASED, DHCP_SEEN]),
        ([ACK, ACK, ACK], [LEASED, DHCP_SEEN]),
        ([ACK, TFTP, TFTP, SCRIPT, SCRIPT], [LEASED, DHCP_SEEN, TFTP_SEEN, SCRIPT_SEEN]),
        ([ACK._replace(stage=Stage.SYSTEM)] * 2, [LEASED, "lease: 10.77.0.51 to 52:54:00:77:00:01"]),
        ([ACK._replace(kind=Kind.OFFER, stage=Stage.SYSTEM)] * 2, ["system: 52:54:00:77:00:01 wants an address"]),
        ([ACK._replace(kind=Kind.OFFER, stage=Stage.SYSTEM, hardware=Hardware(bytes(STRANGER)))], []),
        ([ACK._replace(kind=Kind.OFFER)], []),
        ([ACK._replace(given=None)], []),
        ([ACK._replace(hardware=Hardware(bytes(STRANGER)))], []),
        ([TFTP], []),
        ([CHANGED], [CHANGED.reason]),
        ([replace(CHANGED, mac=STRANGER)], []),
        (
            [ACK, replace(TFTP, outcome=Outcome.PROBED), replace(TFTP, client=IPv4Address("10.77.0.9"))],
            [LEASED, DHCP_SEEN],
        ),
        ([IGNORED], [IGNORED.sentence]),
        ([replace(IGNORED, mac=STRANGER)], []),
        ([PROXIED, TFTP], [PROXY_SEEN, TFTP_SEEN]),
        ([replace(PROXIED, mac=STRANGER), TFTP], []),
        ([SCRIPT._replace(intent=Wait)], []),
        ([SCRIPT._replace(mac=STRANGER)], []),
        ([HTTP], []),
    ],
)
def test_boot_events(events: list[PxeEvent], expected: list[str], tmp_path: Path) -> None:
    async def scene(net: Net) -> None:
        for event in events:
            net.senses.observe(event)
            await asyncio.sleep(1)
        assert await said(net) == expected

    play(tmp_path, scene)


def test_troubles_of_the_segment_are_noted_and_shown(tmp_path: Path) -> None:
    async def scene(net: Net) -> None:
        alarm = PoolAlarm(network=IPv4Network("10.77.0.0/24"), level=Level.HIGH, used=80, size=100)
        net.senses.observe(alarm)
        await asyncio.sleep(1)
        assert await said(net) == [alarm.sentence]
        assert [trouble.text for trouble in net.application.machines().segment] == [alarm.sentence]
        net.senses.observe(replace(alarm, level=Level.NORMAL))
        await asyncio.sleep(1)
        assert net.application.machines().segment == ()

    play(tmp_path, scene)


def test_each_boot_is_noted_again(tmp_path: Path) -> None:
    async def scene(net: Net) -> None:
        for _ in range(2):
            await net.memory.remember(PowerCommanded(machine=NODE, command="on", boots=True))
            net.senses.observe(ACK)
            await asyncio.sleep(1)
        assert await said(net) == ["power command on", LEASED, DHCP_SEEN, "power command on", DHCP_SEEN]

    play(tmp_path, scene)


def test_facts_right_after_the_hello_know_its_firmware(tmp_path: Path) -> None:
    async def scene(net: Net) -> None:
        machine = net.rack.first
        net.senses.hello(NODE, Nonce("n"), protocol.parse_hello(machine._hello("b")), ADDRESS)
        net.senses.facts(NODE, Nonce("n"), machine._facts())
        await asyncio.sleep(1)
        found = [e.record for e in await net.memory.read(after=0, machine=None, limit=9)]
        assert isinstance(found[1], FactsReceived)
        assert found[1].facts.firmware is Firmware.UEFI
        assert (tmp_path / "facts" / f"{found[1].raw_sha256}.json").read_bytes() == machine._facts()

    play(tmp_path, scene)


@pytest.mark.parametrize("body", [b"", b"\xff", b"{}", b"[" * 9999])
def test_garbage_facts_are_noted(body: bytes, tmp_path: Path) -> None:
    async def scene(net: Net) -> None:
        net.senses.facts(NODE, Nonce("n"), body)
        await asyncio.sleep(1)
        [entry] = await net.memory.read(after=0, machine=None, limit=9)
        assert isinstance(entry.record, Noted)
        assert entry.record.kind == "facts-refused"

    play(tmp_path, scene)


def test_a_report_that_is_repeated_is_one_record(tmp_path: Path) -> None:
    async def scene(net: Net) -> None:
        report = FirstBoot(nonce=Nonce("n"), boot_id="b", hostname="h", serial="s", host_keys=())
        for said_again in (report, report, replace(report, boot_id="c")):
            net.senses.first_boot(NODE, said_again, ADDRESS)
            await asyncio.sleep(1)
        entries = await net.memory.read(after=0, machine=None, limit=9)
        assert [e.record.boot_id for e in entries if isinstance(e.record, FirstBootSeen)] == ["b", "c"]

    play(tmp_path, scene)


def test_the_agent_s_log_is_bounded_and_new_with_each_boot(tmp_path: Path) -> None:
    async def scene(net: Net) -> None:
        path = tmp_path / "logs" / "node-0.log"
        net.senses.log(NODE, 0, b"one")
        net.senses.log(NODE, 3, b"two")
        assert path.read_bytes() == b"onetwo"
        net.senses.log(NODE, 0, b"x" * (4 << 20))
        net.senses.log(NODE, 4 << 20, b"more")
        assert path.stat().st_size == 4 << 20

    play(tmp_path, scene)


def test_refusals_are_logged_at_powers_of_two(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scene(net: Net) -> None:
        for _ in range(9):
            net.senses.refused(ADDRESS, "why\x1b[2J")
        await asyncio.sleep(1)
        assert [r.getMessage() for r in caplog.records if "refused" in r.getMessage()] == [
            f"client=10.77.0.51 refused ({n} times): why" for n in (1, 2, 4, 8)
        ]

    play(tmp_path, scene)


def test_address_for_a_bmc_makes_it_a_suspect(tmp_path: Path) -> None:
    async def scene(net: Net) -> None:
        stranger = ACK._replace(hardware=Hardware(bytes(STRANGER)))
        net.senses.observe(stranger._replace(vendor=b"iDRAC"))
        net.senses.observe(stranger._replace(vendor=b"PXEClient"))
        net.senses.observe(ACK._replace(vendor=b"iDRAC"))
        await asyncio.sleep(1)
        traits = Traits(make="Dell", mac=STRANGER)
        assert net.bmcs_seen == [Suspect(address=ADDRESS, sign=Sign.DHCP, traits=traits)]

    play(tmp_path, scene)

"""What the boot services and the agents noticed, turned into records.

Every method of `Senses` may be called from a service's thread: it only hands over to the conductor's loop, where
`_Loop` looks at the world and remembers what is new. A boot storm is thousands of packets and a few records.
"""

import asyncio
import logging
from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv4Address
from pathlib import Path
from typing import assert_never

from appliance.bmc.discovery import Suspect, from_dhcp
from appliance.boot import Snapshot
from appliance.conductor.memory import Memory
from appliance.errors import AgentError
from appliance.inventory.facts import parse_facts
from appliance.model.hardware import Firmware
from appliance.model.identity import Bound
from appliance.model.ids import MachineName, Nonce
from appliance.model.text import clean
from appliance.ports import Clock
from appliance.services.inbox import Inbox
from appliance.services.reports import FirstBoot
from appliance.services.segment_state import SegmentState, Told, told
from appliance.store.identity_records import AgentBound, IdentityDisputed, TpmDisputed, TpmLacking, TpmRecord
from appliance.store.records import (
    AddressLeased,
    BootSeen,
    BootStage,
    FactsReceived,
    FirstBootSeen,
    HelloSeen,
    InstallerSeen,
    InstallerStage,
    Noted,
    SegmentNoted,
)
from images.agent.protocol import Hello
from pxe.boot import LocalDisk, RunKernel
from pxe.client import Client, Mac, Stage
from pxe.dhcp.alarm import PoolAlarm
from pxe.dhcp.conflict import AddressInUse
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.dhcp.flood import FloodAlarm
from pxe.dhcp.proxy_server import ProxyEvent
from pxe.dhcp.rivals import RivalGone, RivalSeen, Stands
from pxe.dhcp.watch import ProxyIgnored
from pxe.http.server import HttpEvent
from pxe.ladder import ChainChanged
from pxe.routes import ScriptEvent
from pxe.service import PxeEvent
from pxe.tftp.responder import Outcome
from pxe.tftp.server import TftpEvent

_LOGGER = logging.getLogger(__name__)
_LOG_KEPT = 4 << 20
_ONE_BOOT = 60.0
_ELSEWHERE = "somebody asked for its boot script from another address than its own, while it runs its system"


class Senses:
    def __init__(
        self,
        memory: Memory,
        current: Callable[[], Snapshot],
        segment: SegmentState,
        clock: Clock,
        state_dir: Path,
        bmc_seen: Callable[[Suspect], None],
    ) -> None:
        self._clock = clock
        self._inbox = Inbox(asyncio.get_running_loop())
        self._memory = memory
        self._segment = segment
        self._current = current
        self._bmc_seen = bmc_seen
        self._facts_dir = state_dir / "facts"
        self._logs_dir = state_dir / "logs"
        self._address_of: dict[IPv4Address, MachineName] = {}
        self._firmware_of: dict[MachineName, Firmware] = {}
        self._refusals: dict[str, int] = {}
        for folder in (self._facts_dir, self._logs_dir):
            folder.mkdir(parents=True, exist_ok=True)

    # from the services' threads ------------------------------------------------------------------------------

    def observe(self, event: PxeEvent) -> None:
        if not isinstance(event, HttpEvent):
            self._inbox.put(self._boot_event, event)

    def hello(self, machine: MachineName, nonce: Nonce, hello: Hello, client: IPv4Address) -> None:
        self._inbox.put(self._hello, machine, nonce, hello, client)

    def facts(self, machine: MachineName, nonce: Nonce, body: bytes) -> None:
        digest = sha256(body).hexdigest()
        (self._facts_dir / f"{digest}.json").write_bytes(body)
        self._inbox.put(self._facts, machine, nonce, body, digest)

    def polled(self, machine: MachineName) -> None:
        self._inbox.put(self._memory.pulse, machine)

    def log(self, machine: MachineName, offset: int, text: bytes) -> None:
        """Offset 0 starts a new log: the agent of a new boot."""
        path = self._logs_dir / f"{machine}.log"
        with path.open("wb" if offset == 0 else "ab") as log:
            if log.tell() < _LOG_KEPT:
                log.write(text)

    def first_boot(self, machine: MachineName, report: FirstBoot, client: IPv4Address) -> None:
        self._inbox.put(self._first_boot, machine, report, client)

    def installer(self, machine: MachineName, nonce: Nonce, stage: InstallerStage, detail: str) -> None:
        self._inbox.put(self._installer, machine, nonce, stage, detail)

    def refused(self, client: IPv4Address, why: str) -> None:
        self._inbox.put(self._refused, client, why)

    def bound(self, machine: MachineName, bound: Bound, client: IPv4Address, why: str) -> None:
        self._inbox.put(self._bound, machine, bound, client, why)

    def disputed(self, machine: MachineName, nonce: Nonce, client: IPv4Address, why: str) -> None:
        self._inbox.put(self._disputed, machine, nonce, client, why)

    def attested(self, record: TpmRecord) -> None:
        self._inbox.put(self._attested, record)

    # on the loop ---------------------------------------------------------------------------------------------

    def _bound(self, machine: MachineName, bound: Bound, client: IPv4Address, why: str) -> None:
        self._memory.note(
            AgentBound(
                machine=machine,
                nonce=bound.nonce,
                key=bound.key,
                boot_id=bound.boot_id,
                rung=bound.rung,
                client=client,
                token=bound.token,
                why=why,
            )
        )

    def _disputed(self, machine: MachineName, nonce: Nonce | None, client: IPv4Address, why: str) -> None:
        _LOGGER.warning("machine=%s client=%s held: %s", machine, client, why)
        self._memory.note(IdentityDisputed(machine=machine, nonce=nonce, why=why, client=client))

    def _attested(self, record: TpmRecord) -> None:
        """An agent that says again that it has no TPM has said nothing new."""
        if isinstance(record, TpmLacking) and record.why == self._memory.world.machine(record.machine).tpm.lacks:
            return
        if isinstance(record, TpmDisputed):
            _LOGGER.warning("machine=%s client=%s held: %s", record.machine, record.client, record.why)
        self._memory.note(record)

    def _boot_event(self, event: PxeEvent) -> None:
        match event:
            case DhcpEvent(kind=Kind.ACK, address=IPv4Address() as address):
                self._leased(event, address)
            case DhcpEvent(kind=Kind.OFFER, stage=Stage.SYSTEM):
                self._stage(
                    self._current().machine_of(_asking(event)), BootStage.SYSTEM, f"{event.mac} wants an address"
                )
            case DhcpEvent(kind=Kind.ELSEWHERE) if event.stage is not Stage.SYSTEM:
                self._stage(self._current().machine_of(_asking(event)), BootStage.RIVAL, f"{event.mac} {event.reason}")
            case TftpEvent(outcome=Outcome.FINISHED):
                self._stage(self._address_of.get(event.client), BootStage.TFTP, _tftp(event))
            case ScriptEvent():
                self._script(event)
            case ChainChanged():
                self._noted(event.mac, "boot-program", event.reason)
            case ProxyIgnored():
                self._noted(event.mac, "proxy-ignored", event.sentence)
            case Stands() | RivalSeen() | RivalGone() | PoolAlarm() | AddressInUse() | FloodAlarm():
                self._of_segment(told(event))
            case ProxyEvent():
                self._proxied(event)
            case DhcpEvent() | TftpEvent() | HttpEvent():
                return
            case _:
                assert_never(event)

    def _leased(self, event: DhcpEvent, address: IPv4Address) -> None:
        machine = self._current().machine_of(_asking(event))
        if machine is None:
            self._unknown(event, address)
            return
        self._address_of[address] = machine
        if self._memory.world.machine(machine).address != address:
            self._memory.note(AddressLeased(machine=machine, address=address))
        if event.stage is Stage.SYSTEM:
            self._stage(machine, BootStage.LEASE, f"{address} to {event.mac}")
        else:
            arch = event.arch.name if event.arch is not None else "unknown"
            self._stage(machine, BootStage.DHCP, f"{address} to {event.mac}, {event.stage.value}, {arch}")

    def _unknown(self, event: DhcpEvent, address: IPv4Address) -> None:
        suspect = from_dhcp(event.vendor_class, address, event.mac)
        if suspect is None:
            self._refused(address, f"DHCP: {event.mac} is of no machine in the site program")
        else:
            self._bmc_seen(suspect)

    def _proxied(self, event: ProxyEvent) -> None:
        """Another server gives the address; we hear of it when the machine asks for it."""
        machine = self._current().machine_of(_asking(event))
        if machine is None:
            return
        if event.address is not None:
            self._address_of[event.address] = machine
        if event.filename and event.stage is not Stage.SYSTEM:
            self._stage(machine, BootStage.DHCP, f"proxy offer to {event.mac}, {event.stage.value}, {event.filename}")

    def _script(self, event: ScriptEvent) -> None:
        machine = self._current().machine_of(Client(mac=event.mac, stage=Stage.IPXE, uuid=event.uuid))
        if machine is not None and self._is_elsewhere(machine, event.address):
            self._disputed(machine, None, event.address, _ELSEWHERE)
        elif event.intent is RunKernel:
            self._stage(machine, BootStage.SCRIPT, f"boot script to {event.address}")
        elif event.intent is LocalDisk and machine is not None:
            self._returned(machine, f"{event.address} asked what to boot: its own disk")

    def _is_elsewhere(self, machine: MachineName, address: IPv4Address) -> bool:
        """A machine asks for its script from the address that its MAC has, a borrower of the MAC from its own.
        Where another server gives the addresses nothing can be told."""
        state = self._memory.world.machine(machine)
        settled = state.standing.active and state.hold is None and state.address is not None
        return settled and address != state.address and self._address_of.get(address) != machine

    def _returned(self, machine: MachineName, detail: str) -> None:
        """A firmware that asks several times in one boot has come once."""
        seen = self._memory.world.machine(machine).returns
        if not seen or self._clock.now() - seen[-1] > _ONE_BOOT:
            self._memory.note(BootSeen(machine=machine, stage=BootStage.LOCAL, detail=detail))

    def _noted(self, mac: Mac, kind: str, text: str) -> None:
        machine = self._current().machine_of(Client(mac=mac, stage=Stage.FIRMWARE))
        if machine is not None:
            self._memory.note(Noted(machine=machine, kind=kind, text=text))

    def _of_segment(self, what: Told) -> None:
        _LOGGER.warning("boot network: %s", what.text)
        self._segment.follow(what, self._clock.now())
        self._memory.note(SegmentNoted(kind=what.kind, text=what.text))

    def _stage(self, machine: MachineName | None, stage: BootStage, detail: str) -> None:
        if machine is not None and stage.value not in self._memory.world.machine(machine).stages:
            self._memory.note(BootSeen(machine=machine, stage=stage, detail=detail))

    def _hello(self, machine: MachineName, nonce: Nonce, hello: Hello, client: IPv4Address) -> None:
        said = hello.evidence
        detail = f"serial {clean(said.serial, 60)}, {said.firmware.value}, from {client}, nonce {nonce[:8]}"
        # Facts may follow before the hello is durable and folded.
        firmware = self._firmware_of[machine] = Firmware(said.firmware.value)
        boot_id = clean(hello.boot_id, 64)
        self._memory.note(HelloSeen(machine=machine, nonce=nonce, boot_id=boot_id, firmware=firmware, detail=detail))

    def _facts(self, machine: MachineName, nonce: Nonce, body: bytes, digest: str) -> None:
        hello = self._memory.world.machine(machine).hello
        try:
            told = hello.firmware if hello else Firmware.BIOS
            facts = parse_facts(body, firmware=self._firmware_of.get(machine, told))
        except AgentError as error:
            self._memory.note(Noted(machine=machine, kind="facts-refused", text=f"{error}: {error.evidence}"))
            return
        self._memory.note(FactsReceived(machine=machine, nonce=nonce, facts=facts, raw_sha256=digest))

    def _first_boot(self, machine: MachineName, report: FirstBoot, client: IPv4Address) -> None:
        seen = self._memory.world.machine(machine).first_boot
        if seen is not None and seen.nonce == report.nonce and seen.boot_id == report.boot_id:
            return
        self._memory.note(
            FirstBootSeen(
                machine=machine,
                nonce=report.nonce,
                boot_id=report.boot_id,
                hostname=report.hostname,
                serial=report.serial,
                address=client,
                host_keys=report.host_keys,
            )
        )

    def _installer(self, machine: MachineName, nonce: Nonce, stage: InstallerStage, detail: str) -> None:
        self._memory.note(InstallerSeen(machine=machine, nonce=nonce, stage=stage, detail=detail))

    def _refused(self, client: IPv4Address, why: str) -> None:
        """Once for each reason, then at powers of two: hostile text must not fill the disk."""
        if len(self._refusals) >= 1000:
            self._refusals.clear()
        count = self._refusals[why] = self._refusals.get(why, 0) + 1
        if count & (count - 1) == 0:
            _LOGGER.warning("client=%s refused (%d times): %s", client, count, clean(why, 300))


def _asking(event: DhcpEvent | ProxyEvent) -> Client:
    return Client(mac=event.mac, stage=event.stage, arch=event.arch, uuid=event.uuid)


def _tftp(event: TftpEvent) -> str:
    return f"{clean(event.name, 60)}, {event.sent} bytes in {event.seconds:.1f} s to {event.client}"

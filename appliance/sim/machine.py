"""One server: power, firmware, NICs, disks. From power-on it does by itself what real ones do."""

import asyncio
import json
from ipaddress import IPv4Address
from typing import assert_never
from uuid import UUID

from appliance.model.bmc import BootTarget, PowerCommand, PowerState, SystemIdentity
from appliance.sim.agent import After, Agent
from appliance.sim.bmc import SimBmc
from appliance.sim.client import Bound, Nic, Program
from appliance.sim.disk import Disk, Kind, Op
from appliance.sim.faults import Character, Injected, MachineFault
from appliance.sim.foreign import foreign_system
from appliance.sim.ground import Ground
from appliance.sim.image import has_table
from appliance.sim.installed import System
from appliance.sim.network import Cable
from appliance.sim.topology import endpoint_of, mac_of
from images.agent import protocol
from images.agent.errors import LinkError
from images.agent.medium import DESCRIPTOR_AT, SECTOR, Medium, parse
from images.agent.protocol import Task
from pxe.boot import BootIntent, LocalDisk, RunKernel, Wait
from pxe.client import Arch, Client, Stage
from pxe.routes import ScriptEvent
from pxe.tftp.responder import Outcome
from pxe.tftp.server import TftpEvent

_SYSTEM_DISK = 64 << 20
_DATA_DISK = 96 << 20
_SMALL_DISK = 4 << 20
_LONGEST_PAUSE = 60
_AGENT_AGAIN = 2.0
_POST_AGAIN = 5.0


class Machine:
    """`twin`: the machine whose UUID and serial number this one shows, or whose MAC it has."""

    def __init__(self, name: str, number: int, character: Character, ground: Ground, twin: int | None = None) -> None:
        self.name, self.number, self.character = name, number, character
        self._mac_of = twin if twin is not None and character.injected is Injected.SHARED_MAC else number
        shown = twin if twin is not None and character.injected is None else number
        self.serial = f"SN{shown:05d}"
        self.uuid = UUID(f"00000080-0000-4000-8000-{shown:012d}")
        self.disks = self._new_disks()
        self.bmc = SimBmc(self, character, endpoint_of(number), ground.loop, ground.trace, has_drive=number % 2 == 0)
        self.is_on = False
        self.system: System | None = None
        self._ground = ground
        self._stream = ground.chance.stream("firmware", name)
        self.nics = tuple(self._nic(i) for i in range(2))
        self._boots = self._processes = self._writes = 0
        self._override = BootTarget.NONE
        self._ignored = 0
        self._boots_disk_first = False
        self._life: asyncio.Task[None] | None = None
        self._agent: Agent | None = None

    def _nic(self, number: int) -> Nic:
        arch = Arch.EFI_X64 if self.character.uefi else Arch.BIOS
        dead = self.character.span(MachineFault.PXE_DEAD)
        cable = Cable(name=f"{self.name}/{number}", dead=dead, cut=number == 1 and self._has(Injected.NO_LINK))
        stream = self._ground.chance.stream("nic", self.name, str(number))
        mac = mac_of(self._mac_of if number == 0 else self.number, number)
        return Nic(mac, self.uuid, arch, cable, self._ground.network, stream)

    def _has(self, injected: Injected) -> bool:
        return self.character.injected is injected

    def _new_disks(self) -> list[Disk]:
        """The small one is for the system; the other holds what nobody may touch."""
        pages = foreign_system(self.number) if self.character.foreign else {}
        most = _SMALL_DISK if self._has(Injected.SMALL_DISKS) else _DATA_DISK
        system = Disk("sdb", f"DISK{self.number:05d}", min(_SYSTEM_DISK, most), pages=pages)
        data = Disk("sda", f"DATA{self.number:05d}", most, pages=foreign_system(-self.number))
        return [data, system]

    @property
    def _boot_nic(self) -> Nic:
        return self.nics[1 if self.character.fault is MachineFault.NIC_ORDER else 0]

    # what its BMC and people do to it ------------------------------------------------------------------------

    def identity(self) -> SystemIdentity:
        return SystemIdentity(
            path="/redfish/v1/Systems/1",
            uuid=self.uuid,
            serial=self.serial,
            manufacturer="Simulated",
            product="Server",
            macs=tuple(nic.mac for nic in self.nics),
            power=PowerState.ON if self.is_on else PowerState.OFF,
        )

    def override(self, target: BootTarget) -> None:
        self._override = target

    def obey(self, command: PowerCommand) -> None:
        match command:
            case PowerCommand.ON:
                if not self.is_on:
                    self.power_on()
            case PowerCommand.FORCE_OFF | PowerCommand.GRACEFUL_OFF:
                self.lose_power()
            case PowerCommand.FORCE_RESTART | PowerCommand.GRACEFUL_RESTART | PowerCommand.CYCLE:
                self.lose_power()
                self.power_on()
            case PowerCommand.NMI:
                pass
            case _:
                assert_never(command)

    def power_on(self) -> None:
        self.is_on = True
        self._ground.trace.say("power", self.name, "on")
        self._life = self._ground.loop.create_task(self._live(), name=self.name)

    def lose_power(self) -> None:
        if not self.is_on:
            return
        self.is_on = False
        self.system = None
        life, self._life = self._life, None
        if life is not None:
            life.cancel()
        if self._agent is not None:
            self._agent.cut()
        for disk in self.disks:
            disk.lose_power([self._stream.happens(0.5) for _ in disk.cache])
        self._ground.trace.say("power", self.name, "off")

    def replace_disk(self) -> None:
        """By hand, with the power off: a blank one of the same size."""
        self.lose_power()
        self._ground.trace.say("disk", self.name, "replaced")
        self._put_in("R", {})

    def _put_in(self, mark: str, pages: dict[int, bytes]) -> None:
        old = self.disks[1]
        self.disks[1] = Disk(old.name, f"{old.serial}{mark}", old.size, pages=pages)

    def get_own_identity(self) -> None:
        """A person has corrected the cloned one in the firmware setup."""
        self.lose_power()
        self.serial = f"SN{self.number:05d}"
        self.uuid = UUID(f"00000080-0000-4000-8000-{self.number:012d}")
        self.nics = tuple(self._nic(i) for i in range(2))

    # what the agent on it asks -------------------------------------------------------------------------------

    def evidence(self) -> protocol.Identity:
        firmware = protocol.Firmware.UEFI if self.character.uefi else protocol.Firmware.BIOS
        macs = tuple(str(nic.mac) for nic in self.nics)
        return protocol.Identity(uuid=str(self.uuid), serial=self.serial, board_serial="", macs=macs, firmware=firmware)

    def facts(self, boot_id: str) -> protocol.Facts:
        return facts_of(self, boot_id)

    def look(self) -> Medium | None:
        data = self._ground.media.get(self.bmc.image, b"")
        return parse(data[DESCRIPTOR_AT : DESCRIPTOR_AT + SECTOR])

    def boots_disk_first(self) -> None:
        self._boots_disk_first = True

    def next_write(self) -> int:
        self._writes += 1
        return self._writes

    def meddle(self, task: Task) -> None:
        if self._writes or not isinstance(task, protocol.WriteImage):
            return
        match self.character.fault:
            case MachineFault.FOREIGN_DATA:
                self.disks[1].pages = foreign_system(self.number + 500_000)
            case MachineFault.DISK_SWAPPED:
                self._put_in("S", foreign_system(self.number + 600_000) if self.character.foreign else {})
            case _:
                return
        self._ground.watch.struck(self.name, self.character.fault.name)

    # by itself -----------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            self._boots += 1
            boot_id = f"{self.name}-boot-{self._boots}"
            await asyncio.sleep(self.character.post)
            if self._starts_with_disk() and has_table(self.disks[1].content()):
                await self._from_disk(boot_id)
            if await self._from_network(boot_id) is After.OFF:
                break
            for disk in self.disks:
                disk.do(Op(kind=Kind.FLUSH))
            self._ground.trace.say("reboot", self.name)
        self._life = None
        self.lose_power()

    def _starts_with_disk(self) -> bool:
        target, self._override = self._override, BootTarget.NONE
        self.bmc.used()
        if self._has(Injected.DISK_ONLY) or self._has(Injected.NETWORK_ONLY):
            return self._has(Injected.DISK_ONLY)
        ignores = self.character.fault is MachineFault.IGNORES_OVERRIDE and self._ignored < self.character.times
        if ignores and target is not BootTarget.NONE:
            self._ignored += 1
            return True
        if target is BootTarget.NONE:
            return self._boots_disk_first or not self.character.network_first
        return target is BootTarget.DISK

    async def _from_network(self, boot_id: str) -> After:
        while True:
            bound = await self._boot_nic.bind(Program.FIRMWARE)
            if bound is not None and bound.boots:
                after = await self._ipxe(boot_id, bound)
                if after is not None:
                    return after
            if has_table(self.disks[1].content()) and not self._has(Injected.NETWORK_ONLY):
                await self._from_disk(boot_id)
            await asyncio.sleep(10.0)

    async def _ipxe(self, boot_id: str, bound: Bound) -> After | None:
        """None: it was told to leave the network."""
        network, mac = self._ground.network, self._boot_nic.mac
        network.observe(TftpEvent(client=bound.address, name="snponly.efi", outcome=Outcome.FINISHED, sent=1))
        bound = await self._boot_nic.bind(Program.IPXE) or bound
        pause = 5.0
        while True:
            intent = self._ask(bound.address)
            match intent:
                case None:
                    await asyncio.sleep(pause)
                    pause = min(_LONGEST_PAUSE, pause + 5.0)
                case Wait(seconds=seconds):
                    await asyncio.sleep(seconds)
                case LocalDisk():
                    return None
                case RunKernel():
                    self._ground.watch.nonce_left(intent.attempt, self.name, mac)
                    if (after := await self._ramdisk(boot_id, intent, bound)) is not None:
                        return after
                case _:
                    assert_never(intent)

    def _ask(self, address: IPv4Address) -> BootIntent | None:
        nic, network = self._boot_nic, self._ground.network
        client = Client(mac=nic.mac, stage=Stage.IPXE, uuid=self.uuid)
        try:
            intent = network.intent_for(nic.cable, client)
        except LinkError:
            return None
        network.observe(ScriptEvent(mac=nic.mac, uuid=self.uuid, intent=type(intent), address=address))
        self._ground.trace.say("script", self.name, f"{type(intent).__name__} {getattr(intent, 'attempt', '')[:8]}")
        return intent

    async def _ramdisk(self, boot_id: str, intent: RunKernel, bound: Bound) -> After | None:
        """None: kernel and ramdisk are of a boot that does not count any more."""
        await asyncio.sleep(1.0)
        now = self._ask(bound.address)
        if not isinstance(now, RunKernel) or now.attempt != intent.attempt:
            return None
        await asyncio.sleep(self.character.ramdisk)
        nonce = next(word for word in intent.arguments if word.startswith("innervate.nonce=")).partition("=")[2]
        renewing = self._ground.loop.create_task(self._keep(self._boot_nic, bound, Program.IPXE))
        try:
            while (after := await self._run_agent(nonce, boot_id, bound)) is After.CRASHED:  # noqa: ASYNC110  virtual time
                await asyncio.sleep(_AGENT_AGAIN)
            return after
        finally:
            renewing.cancel()

    async def _run_agent(self, nonce: str, boot_id: str, bound: Bound) -> After:
        self._processes += 1
        life = f"{boot_id}.{self._processes}"
        agent = self._agent = Agent(self, self._ground, self._boot_nic, bound, nonce, boot_id, life)
        self._ground.trace.say("agent", self.name, f"starts {life}")
        try:
            return await agent.run()
        finally:
            if self._agent is agent:
                self._agent = None

    async def _keep(self, nic: Nic, bound: Bound, program: Program) -> None:
        while True:
            await asyncio.sleep(bound.seconds / 2)
            bound = await nic.renew(program, bound) or bound

    async def _from_disk(self, boot_id: str) -> None:
        """For ever: an operating system, or a loader that hangs."""
        content = self.disks[1].content()
        system = System.found_on(self.disks[1], content, self._ground.image)
        self._ground.watch.started_disk(self.name, content)
        self._ground.trace.say("disk", self.name, "starts " + ("the installed system" if system else "what it holds"))
        await asyncio.sleep(self.character.system)
        named = (nic for nic in self.nics if system is not None and str(nic.mac) in system.network)
        nic = next(named, self.nics[0])
        bound: Bound | None = None
        while bound is None:
            bound = await nic.bind(Program.SYSTEM)
        if system is not None:
            self.system = system.at(bound.address, self.serial)
            renewing = self._ground.loop.create_task(self._keep(nic, bound, Program.SYSTEM))
            try:
                await self._report(self.system, nic, boot_id)
                await asyncio.Event().wait()
            finally:
                renewing.cancel()
        await self._keep(nic, bound, Program.SYSTEM)

    async def _report(self, system: System, nic: Nic, boot_id: str) -> None:
        body, pause = json.dumps(system.report(boot_id)).encode(), 1.0
        while not system.tell(self._ground.network, nic.cable, body, self._ground.trace, self.name):
            await asyncio.sleep(pause)
            pause = min(30.0, pause * 2)


def facts_of(machine: Machine, boot_id: str) -> protocol.Facts:
    nics = machine.nics if machine.character.fault is not MachineFault.NIC_ORDER else tuple(reversed(machine.nics))
    return protocol.Facts(
        boot_id=boot_id,
        lshw=None,
        lsblk=None,
        ip=[],
        routes=[],
        dmidecode=_DMIDECODE.format(serial=machine.serial, uuid=machine.uuid),
        lldp=(),
        disks=tuple(disk.facts() for disk in machine.disks),
        nics=tuple(
            protocol.NicFacts(
                name=f"eth{i}", mac=str(nic.mac), driver="sim", speed_mbps=10_000, carrier=not nic.cable.cut
            )
            for i, nic in enumerate(nics)
        ),
        memory_bytes=64 << 30,
        cpu=protocol.Cpu(model="Simulated", cores=16, threads=32),
        errors={},
    )


_DMIDECODE = """\
Handle 0x0100, DMI type 1, 27 bytes
System Information
\tManufacturer: Simulated
\tProduct Name: Server
\tSerial Number: {serial}
\tUUID: {uuid}
"""

"""The product in the simulation: every life of the appliance is built here, and nowhere else is any of it wired."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from appliance.api.fake_bmcs import FakeBmcs
from appliance.api.fake_doctor import FakeDoctor
from appliance.boot import Ramdisk, Snapshot
from appliance.conductor.conductor import Conductor
from appliance.conductor.hands import Agents, Hands, Library, Waiting
from appliance.conductor.memory import Memory
from appliance.conductor.outbox import carry_out
from appliance.config import Settings
from appliance.identity.bonds import Bonds
from appliance.identity.key import ApplianceKey
from appliance.identity.tokens import BmcTokens
from appliance.identity.tpms import Tpms
from appliance.model.ids import MachineName
from appliance.model.orders import Trace
from appliance.services.agents import AgentDesk
from appliance.services.application import Appliance
from appliance.services.pursuit import Pursuit
from appliance.services.segment import endpoints_of, service_config, stated_macs
from appliance.services.segment_state import SegmentState
from appliance.services.senses import Senses
from appliance.services.stock import Stock
from appliance.sim.chance import Stream
from appliance.sim.dhcp import DhcpDesk, LeaseDisk, SimLeases
from appliance.sim.ground import AgentParts, Ground
from appliance.sim.installed import unreachable
from appliance.sim.journal import Condition, Loss, RecordDisk, SimLog
from appliance.sim.library import SimLibrary
from appliance.sim.machine import Machine
from appliance.sim.rogue import Wire
from appliance.site import Site
from appliance.topology import Rack
from pxe.boot import BootIntent
from pxe.client import Client
from pxe.content import BytesContent, ContentTable
from pxe.dhcp.flood import FloodGuard
from pxe.dhcp.guards import Guards, Sentry
from pxe.dhcp.packet import parse
from pxe.dhcp.proxy_server import ProxyEvent
from pxe.dhcp.rival_watch import RivalWatch
from pxe.http.responder import HttpReply, HttpRequest
from pxe.service import PxeEvent, ServiceConfig

_KEY = bytes(range(32))
_CHADDR = bytes.fromhex("020000000001")
RAMDISK = Ramdisk(kernel="/artifact/kernel", initrd="/artifact/initrd", server_url="http://10.80.0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """What of the appliance outlives it. `folder` takes raw reports and logs, which nothing is decided from."""

    condition: Condition
    records: RecordDisk
    leases: LeaseDisk
    folder: Path


def _log(disk: RecordDisk, ground: Ground) -> SimLog:
    return SimLog(disk, ground.loop, ground.clock, ground.watch)


def _leases(disk: LeaseDisk, ground: Ground) -> SimLeases:
    return SimLeases(disk, ground.loop, ground.watch)


def _agents(desk: AgentDesk) -> Agents:
    return desk


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a life is built with; tests put parts with a fault in here."""

    log: Callable[[RecordDisk, Ground], SimLog] = _log
    leases: Callable[[LeaseDisk, Ground], SimLeases] = _leases
    agents: Callable[[AgentDesk], Agents] = _agents
    agent: AgentParts = field(default_factory=AgentParts)


class Shells:
    """Implements `appliance.conductor.hands.Shells` on the systems that run now."""

    def __init__(self, machines: Mapping[str, Machine], ground: Ground) -> None:
        self._machines, self._ground = machines, ground

    def run(self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        for machine in self._machines.values():
            system = machine.system
            if system is not None and system.address == address:
                if not self._ground.network.reachable(machine.nics[0].cable, self._ground.loop.time()):
                    break
                return system.run(host_keys, argv)
        raise unreachable(address)


class SimDrives:
    """Implements `appliance.identity.tokens.Drives`: what was fetched into a drive stays there."""

    def __init__(self, media: dict[str, bytes], rng: Stream) -> None:
        self._media, self._rng = media, rng

    def offer(self, host: str, data: bytes) -> str:
        url = f"http://10.81.0.1:8069/identity/{self._rng.token(32)}.iso"
        self._media[url] = data
        return url

    def withdraw(self, url: str) -> None:
        return

    def close(self) -> None:
        return


class Traces:
    """Implements `appliance.conductor.hands.Traces`: the simulated services keep nothing that matters later."""

    async def forget(self, machine: MachineName, trace: Trace) -> str:
        return f"{trace.value} of {machine} is not kept here"


class Life:
    """One process of the appliance, from its start to its death. Implements `appliance.sim.network.Doors`."""

    def __init__(
        self, site: Site[Rack], storage: Storage, machines: Mapping[str, Machine], ground: Ground, parts: Parts
    ) -> None:
        self._site, self._ground = site, ground
        self._log = parts.log(storage.records, ground)
        self.memory = Memory(self._log)
        self.memory.open()
        ground.watch.came_up(storage.records.entries(), ground.clock.now())
        self._snapshot = self._taken()
        self.memory.on_change(self._follow)
        segment = SegmentState()
        self._senses = Senses(
            self.memory, lambda: self._snapshot, segment, ground.clock, storage.folder, lambda _suspect: None
        )
        key, salts = ApplianceKey(_KEY), ground.chance.stream("salts")
        self._bonds = Bonds(key, ground.clock, salts)
        tpms = Tpms(self._bonds, salts, {})
        self._desk = AgentDesk(lambda: self._snapshot, self._senses, ground.clock, self._bonds, tpms)
        self._tokens = self._proving(machines, key, salts)
        self._agents = parts.agents(self._desk)
        self._leases = parts.leases(storage.leases, ground)
        self._dhcp = self._serving(storage.folder)
        endpoints = endpoints_of(site.topology.boot_network)
        self._library = SimLibrary(ground.image, site.topology.boot_network, endpoints.url("/report"), key, salts)
        waiting = Waiting()
        hands = self._hands(self._library, machines, waiting)
        self.application = Appliance(
            memory=self.memory,
            site=site,
            images={ground.image.ref.name: ground.image.ref},
            clock=ground.clock,
            rng=ground.chance.stream("nonces"),
            session_of=self._desk.session,
            segment=segment,
            take_over=lambda: None,
            consoles={},
            bmc_desk=FakeBmcs(),
            doctor_desk=FakeDoctor(),
            waiting=waiting,
            bonds=self._bonds,
            ssh_key=storage.folder / "key",
        )
        conductor = Conductor(hands, carry_out, ground.chance.stream("nonces"))
        self._conducting = ground.loop.create_task(conductor.run(), name="conductor")
        pursuit = Pursuit(self.memory, self.application.go_on, ground.clock)
        self._pursuing = ground.loop.create_task(pursuit.run(), name="goals")

    @property
    def failed(self) -> BaseException | None:
        """Why something ended by itself that must not."""
        ended = (task for task in self._working if task.done() and not task.cancelled())
        return next(filter(None, (task.exception() for task in ended)), None)

    @property
    def _working(self) -> "tuple[asyncio.Task[None], ...]":
        return self._conducting, self._pursuing

    def _proving(self, machines: Mapping[str, Machine], key: ApplianceKey, salts: Stream) -> BmcTokens:
        return BmcTokens(
            key=key,
            drives=SimDrives(self._ground.media, salts),
            memory=self.memory,
            bmc_of=lambda name: machines[name].bmc,
            endpoint_of=self._site.topology.bmc_of,
        )

    def _hands(self, library: Library, machines: Mapping[str, Machine], waiting: Waiting) -> Hands:
        return Hands(
            memory=self.memory,
            clock=self._ground.clock,
            agents=self._agents,
            library=library,
            shells=Shells(machines, self._ground),
            bmc_of=lambda name: machines[name].bmc,
            traces=Traces(),
            waiting=waiting,
            tokens=self._tokens,
            policy=self._site.topology.identity,
        )

    def _serving(self, folder: Path) -> DhcpDesk:
        ground, network = self._ground, self._site.topology.boot_network
        services = _services_of(self._site.topology, folder)
        config, _ = services.full()
        return DhcpDesk(
            config=config,
            endpoints=endpoints_of(network),
            leases=self._leases,
            loop=ground.loop,
            clock=ground.clock,
            send=self._send,
            observe=self._senses.observe,
            sentry=self._sentry(services.guards),
        )

    def _sentry(self, guards: Guards) -> Sentry | None:
        """Where nobody else is looked for, there is nothing to guard here."""
        ground, rogue = self._ground, self._ground.network.rogue
        if guards.identity is None or rogue is None:
            return None
        wire = Wire(rogue.hear)
        rogue.heard_by = wire.put
        watch = RivalWatch(
            frames=wire,
            server=self._site.topology.boot_network.address,
            identity=guards.identity,
            chaddr=_CHADDR,
            clock=ground.clock,
            observe=self._senses.observe,
        )
        return Sentry(
            watch=watch,
            boot_server=NoBootServer(),
            conflicts=None,
            flood=FloodGuard(None),
            clock=ground.clock,
            observe=self._senses.observe,
        )

    def _send(self, data: bytes) -> None:
        packet = parse(data)
        self._ground.watch.reply_left(packet, self._ground.clock.now())
        self._ground.network.reply(packet)

    def _follow(self, machines: frozenset[MachineName]) -> None:
        world = self.memory.world
        changed = [world.machine(name) for name in sorted(machines)]
        if changed:
            self._snapshot = self._snapshot.after(changed, world.identities, RAMDISK)
        self._ground.watch.check_world(world)

    def _taken(self) -> Snapshot:
        world, topology = self.memory.world, self._site.topology
        states = [world.machine(name) for name in topology.machines]
        return Snapshot.of(states, world.identities, stated_macs(topology), RAMDISK)

    # as the rack sees it -------------------------------------------------------------------------------------

    def handle(self, request: HttpRequest) -> HttpReply:
        return self._desk.handle(request)

    def content(self, path: str) -> bytes | None:
        return self._library.content(path)

    def intent_for(self, client: Client) -> BootIntent:
        return self._snapshot.intent_for(client)

    def packet(self, data: bytes) -> None:
        self._dhcp.receive(data)

    def observe(self, event: PxeEvent) -> None:
        self._senses.observe(event)

    # its end -------------------------------------------------------------------------------------------------

    async def die(self, loss: Loss) -> None:
        """At once; returns when nothing of it runs any more."""
        self._log.die(loss)
        self._leases.die(loss)
        self._ground.watch.went_down()
        self._ground.watch.check_world(self.memory.world, always=True)
        for task in self._working:
            task.cancel()
        self._tokens.close()
        await asyncio.wait(self._working)

    @property
    def is_dead(self) -> bool:
        return self._log.dead


class NoBootServer:
    """Implements `pxe.dhcp.guards.BootServer`: nobody asks on port 4011."""

    def fileno(self) -> int:
        return -1

    def serve(self, *, answers: bool) -> list[ProxyEvent]:
        return []


def _services_of(rack: Rack, folder: Path) -> ServiceConfig:
    """As the daemon configures them; images and leases that it names are never opened."""
    nowhere = Path("/nonexistent")
    settings = Settings(state_dir=folder, socket=nowhere, site=nowhere, images_dir=nowhere)
    programs = ContentTable({"snponly.efi": BytesContent(data=b"x"), "undionly.kpxe": BytesContent(data=b"x")})
    stock = Stock(programs=programs, artifacts={}, kernel_sha256="", initrd_sha256="", images={})
    return service_config(rack, stock, settings)

"""The daemon: the one place that names concrete classes and wires them.

settings -> log -> world -> boot services, agents, BMCs -> conductor -> API
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from appliance import __version__
from appliance.access.access import Access
from appliance.access.access import opened as open_access
from appliance.api.app import create_app
from appliance.api.server import Secure, listen_on, serve
from appliance.api.trace import TraceFilter
from appliance.backup.snapshot import snapshot_of
from appliance.bmc.dialler import Dialler
from appliance.bmc.finder import Finder
from appliance.bmc.vault import Vault
from appliance.boot import Ramdisk, Snapshot
from appliance.conductor.conductor import Conductor
from appliance.conductor.hands import Hands, Waiting
from appliance.conductor.memory import Memory
from appliance.conductor.outbox import carry_out
from appliance.conductor.world import World
from appliance.config import Settings, load
from appliance.console.console import Console
from appliance.console.record import Record, last_words
from appliance.console.source import source_of
from appliance.console.ssh import ConsoleDoor
from appliance.doctor.desk import DoctorDesk
from appliance.doctor.device import parent
from appliance.doctor.watch import WireWatch
from appliance.errors import InnervateError
from appliance.fleet.backend import Fleet, Member
from appliance.fleet.credential import fingerprint_of, kept
from appliance.fleet.door import Door, opened
from appliance.identity.bonds import Bonds
from appliance.identity.drive import Drives
from appliance.identity.key import ApplianceKey, kept_key
from appliance.identity.tokens import BmcTokens
from appliance.identity.tpms import Tpms
from appliance.model.ids import MachineName
from appliance.services.agents import AgentDesk
from appliance.services.application import Appliance
from appliance.services.bmcs import BmcDesk
from appliance.services.doctor import Ward, checks_of
from appliance.services.forgetting import Forgetting
from appliance.services.installers import FrontDesk, InstallDesk
from appliance.services.leaving import Eraser, LeavingDesk
from appliance.services.library import Library
from appliance.services.meter import Meter, Surroundings
from appliance.services.program import SiteProgram
from appliance.services.pursuit import Pursuit
from appliance.services.reflexes import ReflexArc
from appliance.services.segment import endpoints_of, ramdisk_of, service_config, stated_macs
from appliance.services.segment_state import SegmentState
from appliance.services.senses import Senses
from appliance.services.shelf import Shelf
from appliance.services.shells import SshShells, ensure_key
from appliance.services.stock import Stock, take_stock
from appliance.services.stores import StoreDesk
from appliance.services.traces import ServiceTraces
from appliance.services.upgrades import UpgradeDesk
from appliance.services.views import macs_of
from appliance.services.watch import Watch, answers
from appliance.serving import ClusterServices, serve_clusters, with_clusters
from appliance.setup.helper import Helper
from appliance.site import Site, configs_of
from appliance.site import load as load_site
from appliance.store.log import Log
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng
from appliance.systemd import tell_ready
from appliance.telling import tell
from appliance.topology import Rack
from appliance.web.app import create_pages
from images.processes import HostProcesses
from pxe.boot import BootIntent
from pxe.client import Client
from pxe.content import ContentTable
from pxe.dhcp.leases import Lease
from pxe.memory import settle
from pxe.routes import with_scripts
from pxe.service import BootServices, PxeEvent
from pxe.tls import server_context

_LOGGER = logging.getLogger("innervate")


class _Present:
    """The snapshot that the services' threads read; replaced whole, never changed."""

    def __init__(self, world: World, rack: Rack, ramdisk: Ramdisk) -> None:
        self._world = world
        self._names = frozenset(rack.machines)
        self._ramdisk = ramdisk
        states = [world.machine(name) for name in rack.machines]
        self._snapshot = Snapshot.of(states, world.identities, stated_macs(rack), ramdisk)

    def read(self) -> Snapshot:
        return self._snapshot

    def intent_for(self, client: Client) -> BootIntent:
        return self._snapshot.intent_for(client)

    def follow(self, machines: frozenset[MachineName]) -> None:
        changed = [self._world.machine(name) for name in sorted(machines & self._names)]
        if changed:
            self._snapshot = self._snapshot.after(changed, self._world.identities, self._ramdisk)


def main(config: Path) -> int:
    """Runs until SIGTERM or SIGINT. Returns the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(trace_id)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceFilter())
    for chatty in ("alembic", "fido2"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = load(config)
        forgetting = Forgetting(settings.state_dir, settings.key, Helper())
        asyncio.run(_run(settings, forgetting))
        forgetting.finish()
    except InnervateError as error:
        _LOGGER.error("%s; %s; %s", error, error.evidence, error.next_action)
        return 1
    return 0


async def _run(settings: Settings, forgetting: Forgetting) -> None:
    (program, site), stock = _loaded(settings.site), take_stock(settings)
    stop = _stop_on_signal()
    async with AsyncExitStack() as closing:
        log, memory = _remembering(settings, closing)
        present = _Present(memory.world, site.topology, ramdisk_of(site.topology, stock, settings))
        memory.on_change(present.follow)
        segment, bmcs = SegmentState(), _opening(settings, site.topology, closing)
        meter = _measuring(settings, site.topology, log, memory, lambda: services)
        key = kept_key(settings.state_dir / "identity.vault", SystemRng())
        bonds = Bonds(key, SystemClock(), SystemRng())
        serving = serve_clusters(settings, site.name, site.topology, memory, closing)
        desk, services = _facing_nodes(settings, site, stock, memory, present, segment, bmcs, meter, bonds, serving)
        tokens = _proving(site.topology, memory, bmcs, key, closing)
        hands = _acting(settings, site, stock, memory, desk, services, bmcs, key, tokens, serving, closing)
        application = Appliance(
            memory=memory,
            site=site,
            images=stock.images,
            ignition=stock.ignition,
            clock=hands.clock,
            rng=SystemRng(),
            session_of=desk.session,
            segment=segment,
            take_over=services.take_over,
            consoles=_listening(settings, site.topology, bmcs, closing),
            bmc_desk=bmcs,
            doctor_desk=_examining(settings, site, stock, memory, bmcs, segment, serving, closing),
            waiting=hands.waiting,
            bonds=bonds,
            ssh_key=settings.key,
            measured=meter.families,
            snapshot=partial(snapshot_of, log.copy, settings.state_dir, site.name),
            program=program,
            stores=_giving(settings, site.topology, stock, memory, segment, services, meter),
            leaving_desk=_leaving(settings, site.name, memory, bmcs, forgetting.eraser(stop.set)),
            upgrades=_upgrading(settings, memory, closing),
            sets=serving.sets,
            clusters=serving.clusters(hands.waiting),
        )
        await _aggregating(settings, site.topology, memory, bmcs, closing)
        services.start()
        _reacting(site.topology, memory, application, meter, closing)
        bmcs.start()
        access = _guarding(settings, site.name, closing)
        tell(settings, site.name, memory, access, meter, closing)
        answering = _answering(settings, site.name, application, access, stop, closing)
        settle()
        closing.callback(services.stop)
        await _until_stopped(Conductor(hands, carry_out, SystemRng()).run(), answering, stop)


def _answering(
    settings: Settings, site: str, application: Appliance, access: Access, stop: asyncio.Event, closing: AsyncExitStack
) -> Coroutine[None, None, None]:
    """The API and the pages, by the Unix socket and over TLS."""
    secure, fingerprint = _facing_browsers(settings, site, closing)
    app = create_app(
        application,
        access,
        SystemRng(),
        hosts=frozenset(host.lower() for host in settings.https_hosts),
        fingerprint=fingerprint,
        urls=settings.urls,
        pages=create_pages(application, access, life=SystemRng().token(4), now=SystemClock().now),
    )
    return serve(app, settings.socket, stop, secure, ready=tell_ready)


def _loaded(path: Path) -> tuple[SiteProgram, Site[Rack]]:
    """The text first: an edit between the two is then seen as one that does not run yet."""
    program = SiteProgram(path, HostProcesses(), SystemClock())
    return program, load_site(path)


def _upgrading(settings: Settings, memory: Memory, closing: AsyncExitStack) -> UpgradeDesk:
    desk = UpgradeDesk(state_dir=settings.state_dir, remember=memory.remember, clock=SystemClock())
    closing.callback(asyncio.create_task(desk.run(), name="upgrades").cancel)
    return desk


def _giving(
    settings: Settings,
    rack: Rack,
    stock: Stock,
    memory: Memory,
    segment: SegmentState,
    services: BootServices,
    meter: Meter,
) -> StoreDesk:
    shelf = Shelf(settings.images_dir, stock.entries)
    return StoreDesk(rack, memory, segment, SystemClock(), shelf=shelf, leases=services.leases, history=meter.history)


def _guarding(settings: Settings, site: str, closing: AsyncExitStack) -> Access:
    """Who may come in. Until there is an admin, the log says how to make the first one."""
    access = closing.enter_context(open_access(settings.state_dir / "access", SystemClock(), SystemRng(), issuer=site))
    if code := access.desk.setup_code:
        _LOGGER.warning("there is no admin yet; the setup code that makes the first one, once: %s", code)
    return access


def _leaving(settings: Settings, site: str, memory: Memory, bmcs: BmcDesk, eraser: Eraser) -> LeavingDesk:
    return LeavingDesk(
        site=site,
        hand_over=bmcs.hand_over,
        stranger=partial(Dialler, SystemClock(), SystemRng()),
        keys=lambda: (ensure_key(settings.key, HostProcesses()),),
        busy=lambda: ", ".join(run.id for run in memory.world.running),
        eraser=eraser,
        clock=SystemClock(),
        rng=SystemRng(),
    )


def _facing_browsers(settings: Settings, site: str, closing: AsyncExitStack) -> tuple[Secure | None, str]:
    """The API's TCP listener, where one is wanted, and the fingerprint of its certificate."""
    if not settings.https_port:
        return None, ""
    credential = kept(settings.state_dir / "https", site, settings.https_hosts, SystemClock())
    listener = closing.enter_context(listen_on(settings.https_port))
    fingerprint = fingerprint_of(credential)
    _LOGGER.info("API on port %d; certificate SHA-256 %s", settings.https_port, fingerprint)
    return Secure(listener=listener, tls=server_context([credential])), fingerprint


def _reacting(rack: Rack, memory: Memory, application: Appliance, meter: Meter, closing: AsyncExitStack) -> None:
    """Without a hand: goals are pursued, machines watched, numbers kept, and reflexes act as the site program says."""
    pursuit = Pursuit(memory, application.go_on, SystemClock())
    arc = ReflexArc(memory, rack.reflexes, application.see_through, SystemClock())
    watch = Watch(memory, answers, SystemClock())
    works = (("goals", pursuit.run()), ("reflexes", arc.run()), ("watch", watch.run()), ("history", meter.run()))
    for name, work in works:
        closing.callback(asyncio.create_task(work, name=name).cancel)


def _stop_on_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def _remembering(settings: Settings, closing: AsyncExitStack) -> tuple[Log, Memory]:
    log = Log(settings.state_dir / "records.db", SystemClock())
    memory = Memory(log)
    memory.open()
    closing.callback(log.close)
    return log, memory


def _opening(settings: Settings, rack: Rack, closing: AsyncExitStack) -> BmcDesk:
    """The BMCs, and the vault that opens them."""
    clock, rng = SystemClock(), SystemRng()
    file = SecretFile(settings.state_dir / "bmc.vault", rng)
    closing.callback(file.close)
    dialler = Dialler(clock, rng)
    closing.push_async_callback(dialler.close)
    desk = BmcDesk(rack, Finder(clock, rng), Vault(file, clock), dialler, clock, rng)
    closing.push_async_callback(desk.close)
    return desk


def _measuring(settings: Settings, rack: Rack, log: Log, memory: Memory, services: Callable[[], BootServices]) -> Meter:
    """`services` are made later."""
    around = _surroundings(settings, lambda: services().leases(), lambda: services().sent_in_all())
    meter = Meter(rack, memory, SystemClock(), around)
    log.time_commits(meter.committed)
    return meter


def _surroundings(
    settings: Settings, leases: Callable[[], Sequence[Lease]], sent: Callable[[], int] = int
) -> Surroundings:
    return Surroundings(
        disks={"state": settings.state_dir, "images": settings.images_dir},
        certificates={"redfish": settings.state_dir / "redfish" / "server.crt"},
        leases=leases,
        sent=sent,
    )


def _facing_nodes(
    settings: Settings,
    site: Site[Rack],
    stock: Stock,
    memory: Memory,
    present: _Present,
    segment: SegmentState,
    bmcs: BmcDesk,
    meter: Meter,
    bonds: Bonds,
    serving: ClusterServices,
) -> tuple[AgentDesk, BootServices]:
    senses = Senses(memory, present.read, segment, SystemClock(), settings.state_dir, bmcs.suspect)
    tpms = Tpms(bonds, SystemRng(), site.topology.endorsement_keys)
    desk = AgentDesk(present.read, senses, SystemClock(), bonds, tpms)
    network = site.topology.boot_network
    installers = InstallDesk(
        present.read, senses, endpoints_of(network).url(""), network, SystemClock(), configs_of(site), serving.given
    )

    def observe(event: PxeEvent) -> None:
        meter.observe(event)
        senses.observe(event)

    services = BootServices(
        config=service_config(site.topology, stock, settings),
        policy=present,
        artifacts=ContentTable(stock.artifacts),
        application=FrontDesk(desk, installers),
        observe=observe,
        clock=SystemClock(),
    )
    return desk, services


def _record_of(settings: Settings, name: MachineName) -> Path:
    return settings.state_dir / "logs" / f"{name}.console"


def _listening(settings: Settings, rack: Rack, bmcs: BmcDesk, closing: AsyncExitStack) -> dict[MachineName, Console]:
    """The serial consoles, recorded from now on, and their door for SSH clients."""
    consoles: dict[MachineName, Console] = {}
    for server in rack.servers:
        if server.console is not None:
            record = Record(_record_of(settings, server.name))
            endpoint = partial(bmcs.endpoint_of, server.name)
            source = source_of(server.console, endpoint, SystemClock(), SystemRng())
            console = Console(server.name, source, record, SystemClock())
            closing.callback(asyncio.create_task(console.run(), name=f"console {server.name}").cancel)
            consoles[server.name] = console
    if settings.console_port:
        host_key = settings.state_dir / "ssh" / "console_host_key"
        ensure_key(host_key, HostProcesses())
        door = ConsoleDoor(
            address=IPv4Address(0),
            port=settings.console_port,
            host_key=host_key,
            keys=rack.shell.authorized_keys,
            consoles=consoles,
            loop=asyncio.get_running_loop(),
        )
        door.start()
        closing.callback(door.stop)
    return consoles


def _lending(settings: Settings, site: Site[Rack], stock: Stock, services: BootServices, key: ApplianceKey) -> Library:
    network, identity = site.topology.boot_network, site.topology.identity
    report, seeds = endpoints_of(network).url("/report"), settings.state_dir / "seeds"
    return Library(
        stock.artifacts, network, report, HostProcesses(), services.set_artifacts, seeds, key, identity, SystemRng()
    )


def _acting(
    settings: Settings,
    site: Site[Rack],
    stock: Stock,
    memory: Memory,
    desk: AgentDesk,
    services: BootServices,
    bmcs: BmcDesk,
    key: ApplianceKey,
    tokens: BmcTokens,
    serving: ClusterServices,
    closing: AsyncExitStack,
) -> Hands:
    ensure_key(settings.key, HostProcesses())
    library = _lending(settings, site, stock, services, key)
    hands = Hands(
        memory=memory,
        clock=SystemClock(),
        agents=desk,
        library=library,
        shells=SshShells(settings.key),
        bmc_of=bmcs.bmc_of,
        waiting=Waiting(),
        last_words=lambda name: last_words(_record_of(settings, name)),
        traces=ServiceTraces(site.topology, memory, services, bmcs),
        tokens=tokens,
        policy=site.topology.identity,
    )
    return with_clusters(settings, site.topology, hands, serving, library.lend, services.set_names, closing)


def _proving(rack: Rack, memory: Memory, bmcs: BmcDesk, key: ApplianceKey, closing: AsyncExitStack) -> BmcTokens:
    """How machines show which they are; never by what travels on their own network."""
    drives = Drives(closed=rack.boot_network.networks, port=rack.identity.port, clock=SystemClock(), rng=SystemRng())
    tokens = BmcTokens(key=key, drives=drives, memory=memory, bmc_of=bmcs.bmc_of, endpoint_of=bmcs.endpoint_of)
    closing.callback(tokens.close)
    return tokens


def _examining(
    settings: Settings,
    site: Site[Rack],
    stock: Stock,
    memory: Memory,
    bmcs: BmcDesk,
    segment: SegmentState,
    serving: ClusterServices,
    closing: AsyncExitStack,
) -> DoctorDesk:
    """The doctor, who listens to the wire from now on."""
    clock, network = SystemClock(), site.topology.boot_network
    watch = WireWatch(parent(network.device), HostProcesses(), clock)
    closing.callback(asyncio.create_task(watch.run(), name="wire watch").cancel)
    ward = Ward(
        site=site,
        stock=stock,
        scripts=with_scripts(stock.programs, endpoints_of(network)).entries,
        volumes={"state folder": (settings.state_dir, True), "image store": (settings.images_dir, False)},
        watch=watch,
        processes=HostProcesses(),
        clock=clock,
        bmc_of=bmcs.bmc_of,
        macs_of=lambda name: macs_of(memory.world.machine(name)),
        troubles=lambda: segment.troubles,
        services=serving.services,
        sets=serving.kept,
        clusters=lambda: serving.clusters().clusters().clusters,
    )
    desk = DoctorDesk(checks_of(ward), clock)
    closing.push_async_callback(desk.close)
    return desk


async def _aggregating(settings: Settings, rack: Rack, memory: Memory, bmcs: BmcDesk, closing: AsyncExitStack) -> None:
    """One Redfish service for all machines."""
    if not settings.redfish_port:
        return
    members = {
        server.name: Member(endpoint=server.bmc, console=server.console is not None and settings.console_port != 0)
        for server in rack.servers
    }
    door = Door(
        folder=settings.state_dir / "redfish",
        address=rack.boot_network.address,
        port=settings.redfish_port,
        site=rack.name,
        version=__version__,
    )
    fleet = Fleet(members, bmcs.bmc_of, memory, SystemClock())
    await closing.enter_async_context(opened(door, fleet, SystemClock(), SystemRng()))


async def _until_stopped(
    conducting: Coroutine[None, None, None], serving: Coroutine[None, None, None], stop: asyncio.Event
) -> None:
    """The end of either is the end of both: an API without a conductor would promise what nobody does."""
    conductor = asyncio.create_task(conducting, name="conductor")
    conductor.add_done_callback(lambda _task: stop.set())
    try:
        await serving
    finally:
        conductor.cancel()
        with suppress(asyncio.CancelledError):
            await conductor
    _LOGGER.info("stopped")

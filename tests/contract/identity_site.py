"""A site whose services are the daemon's own, on real sockets, with one machine and whoever is beside it.

What is faked is what stands behind the BMC (values), the disk (a task is reported as done) and SSH. Everything that
anybody was sent over the boot network is on the `wire`.
"""

import asyncio
import json
import time
import urllib.request
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from appliance.api.fake_bmcs import FakeBmcs
from appliance.api.fake_doctor import FakeDoctor
from appliance.bmc.fake import FakeBmc
from appliance.boot import Ramdisk, Snapshot
from appliance.conductor.conductor import Conductor
from appliance.conductor.hands import Hands, Waiting
from appliance.conductor.memory import Memory
from appliance.conductor.outbox import carry_out
from appliance.identity.bonds import Bonds
from appliance.identity.drive import Drives
from appliance.identity.key import ApplianceKey
from appliance.identity.tokens import BmcTokens
from appliance.identity.tpms import Tpms
from appliance.lab.topology import lab_rack
from appliance.model.bmc import PowerState, SystemIdentity
from appliance.model.identity import IdentityPolicy, Release, Rung
from appliance.model.ids import ImageName, MachineName, PlanDigest
from appliance.model.seed_secret import SeedSecret
from appliance.model.site import ShellAccess
from appliance.model.words import Errand
from appliance.plan import ImageRef
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.services.agents import AgentDesk
from appliance.services.application import Appliance
from appliance.services.library import Library
from appliance.services.segment import stated_macs
from appliance.services.segment_state import SegmentState
from appliance.services.senses import Senses
from appliance.site import Site
from appliance.store.log import Log
from appliance.store.records import AddressLeased
from appliance.system import SystemClock, SystemRng
from images.agent import protocol
from images.agent.attest import Attestor, Tpm
from images.agent.bond import HELLO
from images.agent.channel import Channel
from images.agent.connection import HttpConnection
from images.agent.errors import AgentError
from images.agent.medium import DESCRIPTOR_AT, SECTOR, Medium, parse
from images.agent.partitions import unpacked
from images.agent.ports import Reply, Stream
from images.agent.protocol import Progress, TaskReport, TaskState
from images.processes import HostProcesses
from pxe.boot import BootIntent, Endpoints
from pxe.client import Client
from pxe.content import ContentTable
from pxe.http.server import HttpServer
from pxe.routes import BootRoutes
from tests.unit.appliance.conductor.rack import FakeTraces
from tests.unit.appliance.services.bound import Entropy

T = TypeVar("T")

NODE = MachineName("node-0")
HERE, BMCS = IPv4Address("127.81.0.1"), IPv4Address("127.82.0.1")
CANARY = "canary-4f1c9d2ab86e"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX operator@desk"
IMAGE = ImageRef(name=ImageName("debian-13"), manifest_sha256="a1" * 32, blob_sha256="b2" * 32, raw_bytes=1 << 30)
RAMDISK = Ramdisk(kernel="/artifact/k", initrd="/artifact/i", server_url=f"http://{HERE}")
FACTS = Path(__file__).parents[1] / "golden/facts/qemu"
DEADLINE = 20.0


@dataclass
class Wire:
    """All that was sent to anybody on the boot network, and what they said."""

    seen: list[bytes] = field(default_factory=list)

    @property
    def leaks(self) -> bool:
        """Whether the canary is in it, plain or compressed."""
        return any(CANARY.encode() in piece or CANARY.encode() in _expanded(piece) for piece in self.seen)


def _expanded(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, 1 << 22)
    except zlib.error:
        return b""


class Tap:
    """Implements `images.agent.ports.Http`: a real connection, tapped. `said` can be said again by anybody."""

    def __init__(
        self, port: int, nonce: str, wire: Wire, change: Callable[[Reply], Reply] = lambda reply: reply
    ) -> None:
        self._http, self._wire, self.change = HttpConnection(str(HERE), port, nonce), wire, change
        self.nonce = nonce
        self.said: list[tuple[str, bytes, dict[str, str]]] = []

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        self.said.append((path, body, dict(headers)))
        self._wire.seen.append(repr((path, body, headers)).encode())
        reply = self._http.post(path, body, headers)
        self._wire.seen.append(reply.body)
        return self.change(reply)

    def open(self, path: str, *, start: int) -> Stream:
        return self._http.open(path, start=start)

    def close(self) -> None:
        self._http.close()

    def file(self, path: str) -> bytes:
        stream = self.open(path, start=0)
        data = stream.read(stream.total)
        stream.close()
        self._wire.seen.append(data)
        return data


class Agent:
    """Somebody who speaks as an agent: the product's channel and parsers, and no disk. `name` makes its key.

    `got` is what it could open of what it was given.
    """

    def __init__(
        self, site: "Running", nonce: str, name: str, medium: Medium | None = None, tpm: Tpm | None = None
    ) -> None:
        self.tap, self.name = Tap(site.port, nonce, site.wire), name
        site.taps.append(self.tap)
        self.console: list[str] = []
        self.channel = Channel(
            http=self.tap,
            nonce=nonce,
            key=sha256(name.encode()).digest(),
            look=lambda: medium,
            entropy=Entropy(name),
            say=self.console.append,
        )
        self.attestor = Attestor(self.channel, site.clock, self.console.append)
        if tpm is not None:
            self.attestor.find(lambda: tpm)
        self.got = b""
        self.tasks: list[str] = []
        self._report: TaskReport | None = None

    @property
    def code(self) -> str:
        line = next(line for line in reversed(self.console) if line.startswith("identity code"))
        return line.removeprefix("identity code ")[:7].replace(" ", "")

    def hello(self, serial: str = "SN0001") -> int:
        evidence = protocol.Identity(
            uuid=str(UUID("00000077-0000-4000-8000-000000000001")),
            serial=serial,
            board_serial="",
            macs=("52:54:00:77:00:01",),
            firmware=protocol.Firmware.UEFI,
        )
        said = protocol.Hello(boot_id=self.name, agent_version="1", evidence=evidence)
        status = self.channel.post(HELLO, protocol.encode(said), {}).status
        self.attestor.round()
        return status

    def facts(self) -> int:
        facts = json.loads((FACTS / "report.json").read_text())
        facts["dmidecode"] = (FACTS / "dmidecode.txt").read_text()
        return self.channel.post("/agent/facts", json.dumps(facts).encode(), {}).status

    def poll(self) -> int:
        """Once; whatever it is told to do is done at once."""
        said = self._report
        reply = self.channel.post("/agent/poll", protocol.encode(protocol.Poll(boot_id=self.name, task=said)), {})
        if reply.status != 200:
            return reply.status
        task = protocol.parse_poll_reply(reply.body).task
        self._report = None
        if task is not None and not isinstance(task, protocol.BadTask):
            self._report = self._done(task)
        return reply.status

    def _done(self, task: protocol.Task) -> TaskReport:
        self.tasks.append(task.do)
        if isinstance(task, protocol.WriteSeed):
            data = self.tap.file(task.seed.path)
            self.got += unpacked(self.channel.unsealed(task.seed.salt, data))
        return TaskReport(
            id=task.id, fence=task.fence, state=TaskState.DONE, progress=Progress(), evidence={"fake": 1}, error=None
        )

    def work(self, until: Callable[[], bool], seconds: float = 5.0) -> None:
        """Polls until something is so; what is refused is said hello to again, as the link does."""
        end = time.monotonic() + seconds
        while not until() and time.monotonic() < end:
            try:
                if self.poll() >= 400:
                    self.hello()
            except AgentError:
                return

    @property
    def has_secret(self) -> bool:
        return CANARY.encode() in self.got


class Running:
    """The services. Made on a loop; agents are called from threads, as they are elsewhere in the world."""

    def __init__(self, folder: Path, secret: Path, has_drive: bool, release: Release, ek: str) -> None:
        self.folder, self.wire = folder, Wire()
        self.taps: list[Tap] = []
        rack = lab_rack()
        bmc, stated = replace(rack.servers[0].bmc, url="https://127.82.0.9"), (ek,) if ek else ()
        server = replace(rack.servers[0], bmc=bmc, endorsement_keys=stated)
        policy = IdentityPolicy(cluster=Rung.L2)
        self.rack = replace(rack, servers=(server,), shell=ShellAccess(authorized_keys=(KEY,)), identity=policy)
        given = SeedSecret(name="app.token", file=str(secret), release=release)
        install = InstallLinux(image="debian-13", secrets=(given,))
        self.site = Site(name="lab", topology=self.rack, scores=[Discover(), install])
        self.clock, self.key = SystemClock(), ApplianceKey(sha256(b"appliance").digest())
        self.log = Log(folder / "records.db", self.clock)
        self.memory = Memory(self.log)
        self.memory.open()
        self.snapshot = self._taken()
        self.memory.on_change(self._follow)
        self.bonds = Bonds(self.key, self.clock, SystemRng())
        segment = SegmentState()
        self.senses = Senses(self.memory, lambda: self.snapshot, segment, self.clock, folder, lambda _: None)
        tpms = Tpms(self.bonds, SystemRng(), self.rack.endorsement_keys)
        self.desk = AgentDesk(lambda: self.snapshot, self.senses, self.clock, self.bonds, tpms)
        self.routes = BootRoutes(
            endpoints=Endpoints(address=HERE),
            programs=ContentTable(),
            artifacts=ContentTable(),
            policy=self,
            application=self.desk,
            observe=self.senses.observe,
        )
        self.http = HttpServer(address=HERE, routes=self.routes, clock=self.clock, observe=lambda _: None, port=0)
        self.bmc = FakeBmc(_identity())
        if not has_drive:
            self.bmc.drives = {}
        self.drives = Drives(
            closed=(IPv4Network("127.81.0.0/16"),), port=0, clock=self.clock, rng=SystemRng(), facing=lambda _: BMCS
        )
        self.tokens = BmcTokens(
            key=self.key,
            drives=self.drives,
            memory=self.memory,
            bmc_of=lambda _: self.bmc,
            endpoint_of=self.rack.bmc_of,
        )
        self.hands, waiting = self._acting()
        self.application = Appliance(
            memory=self.memory,
            site=self.site,
            images={IMAGE.name: IMAGE},
            clock=self.clock,
            rng=SystemRng(),
            session_of=self.desk.session,
            segment=segment,
            take_over=lambda: None,
            consoles={},
            bmc_desk=FakeBmcs(),
            doctor_desk=FakeDoctor(),
            waiting=waiting,
            bonds=self.bonds,
            ssh_key=folder / "key",
        )

    def _acting(self) -> tuple[Hands, Waiting]:
        waiting = Waiting()
        library = Library(
            {},
            self.rack.boot_network,
            f"http://{self.rack.boot_network.address}/report",
            HostProcesses(),
            lambda table: setattr(self.routes, "artifacts", table),
            self.folder / "seeds",
            self.key,
            self.rack.identity,
            SystemRng(),
        )
        hands = Hands(
            memory=self.memory,
            clock=self.clock,
            agents=self.desk,
            library=library,
            shells=_Shells(),
            bmc_of=lambda _: self.bmc,
            traces=FakeTraces(),
            waiting=waiting,
            tokens=self.tokens,
            policy=self.rack.identity,
        )
        return hands, waiting

    def intent_for(self, client: Client) -> BootIntent:
        return self.snapshot.intent_for(client)

    @property
    def port(self) -> int:
        return self.http.port

    @property
    def events(self) -> list[str]:
        return [entry.record.record for entry in self.log.read(after=0, machine=None, limit=10_000).result()]

    @property
    def state(self):  # type: ignore[no-untyped-def]
        return self.memory.world.machine(NODE)

    def _taken(self) -> Snapshot:
        world = self.memory.world
        states = map(world.machine, self.rack.machines)
        return Snapshot.of(states, world.identities, stated_macs(self.rack), RAMDISK)

    def _follow(self, machines: frozenset[MachineName]) -> None:
        world = self.memory.world
        self.snapshot = self.snapshot.after(map(world.machine, sorted(machines)), world.identities, RAMDISK)

    # what can be done from the boot network ----------------------------------------------------------------

    def get(self, path: str) -> bytes:
        """As anybody can; empty for what there is not."""
        try:
            with urllib.request.urlopen(f"http://{HERE}:{self.port}{path}", timeout=5) as answer:
                data: bytes = answer.read()
        except OSError:
            return b""
        self.wire.seen.append(data)
        return data

    def script(self, query: str = "mac=52-54-00-77-00-01") -> str:
        return self.get(f"/boot.ipxe?{query}").decode()

    def nonce(self, query: str = "mac=52-54-00-77-00-01") -> str:
        """From the boot script, which anybody can ask for."""
        words = self.script(query).split()
        return next((word.partition("=")[2] for word in words if word.startswith("innervate.nonce=")), "none")

    def medium(self) -> Medium | None:
        """What the machine finds in its drive: the BMC has fetched it, on its own network."""
        url = next((slot.image for slot in self.bmc.drives.values()), "")
        if not url:
            return None
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  one that Drives has made
            return parse(answer.read()[DESCRIPTOR_AT : DESCRIPTOR_AT + SECTOR])

    def victim(self, tpm: Tpm | None = None) -> Agent:
        return Agent(self, self.nonce(), "victim", self.medium(), tpm)

    def attacker(self, name: str = "attacker", medium: Medium | None = None, tpm: Tpm | None = None) -> Agent:
        return Agent(self, self.nonce(), name, medium, tpm)

    # time ---------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            tick = self.memory.tick
            assert time.monotonic() < end, f"not seen: {what}; {self.events[-12:]}"
            await self.memory.changed(tick, 0.05)

    async def booting(self) -> None:
        """Discovery is approved, and the machine was told to start."""
        await self.application.apply(PlanDigest((await self.application.make_plan()).digest))
        await self.until(lambda: bool(self.bmc.commands), "power")

    async def installing(self) -> None:
        """The plan that installs it is approved, if there is one."""
        await self.until(lambda: not self.memory.world.running, "the end of discovery")
        plan = await self.application.make_plan()
        if plan.steps:
            await self.application.apply(PlanDigest(plan.digest))

    async def provision(self, agent: Agent) -> None:
        """This agent says what it has to, and does what it is told, as far as the appliance will go with it."""
        await asyncio.to_thread(agent.hello)
        await asyncio.to_thread(agent.facts)
        await self.installing()
        seeds = lambda: "write_seed" in agent.tasks or self.is_waiting or self.state.hold is not None  # noqa: E731
        await asyncio.to_thread(agent.work, seeds)

    @property
    def is_waiting(self) -> bool:
        """The secrets wait for somebody to prove which machine it is."""
        wait = self.hands.waiting.of(NODE)
        return wait is not None and "its secrets need" in wait.why

    async def leased(self, address: str = "127.0.0.1") -> None:
        """Requests of these tests come from 127.0.0.1."""
        await self.memory.remember(AddressLeased(machine=NODE, address=IPv4Address(address)))

    async def reinstalled(self) -> None:
        """Told to begin anew: another boot."""
        await self.until(lambda: not self.memory.world.running, "the end of the installation")
        started = len(self.bmc.commands)
        plan = await self.application.plan_errand(NODE, Errand.REINSTALL)
        await self.application.apply(PlanDigest(plan.digest))
        await self.until(lambda: len(self.bmc.commands) > started, "power")


class _Shells:
    def run(self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        return "SN0001"


def _identity() -> SystemIdentity:
    rack = lab_rack()
    return SystemIdentity(
        path="/redfish/v1/Systems/1",
        uuid=UUID("00000077-0000-4000-8000-000000000001"),
        serial="SN0001",
        manufacturer="Innervate Lab",
        product="Virtual Server",
        macs=(rack.servers[0].mac,) if rack.servers[0].mac is not None else (),
        power=PowerState.OFF,
    )


@asynccontextmanager
async def running(
    folder: Path, *, has_drive: bool = True, release: Release = Release.OWN, ek: str = ""
) -> AsyncIterator[Running]:
    secret = folder / "app.token"
    secret.write_text(CANARY)
    secret.chmod(0o600)
    site = Running(folder, secret, has_drive, release, ek)
    site.http.start()
    conductor = asyncio.create_task(Conductor(site.hands, carry_out, SystemRng()).run())
    try:
        yield site
    finally:
        conductor.cancel()
        await asyncio.wait((conductor,))
        for tap in site.taps:
            tap.close()
        site.tokens.close()
        site.http.stop()
        site.log.close()


def played(
    folder: Path,
    scene: Callable[[Running], "object"],
    *,
    has_drive: bool = True,
    release: Release = Release.OWN,
    ek: str = "",
) -> None:
    """`release`: whose secret the machine wants; a cluster's needs L2. `ek`: what the site program states."""

    async def whole() -> None:
        async with running(folder, has_drive=has_drive, release=release, ek=ek) as site:
            await scene(site)  # type: ignore[misc]

    asyncio.run(whole())


__all__ = ["CANARY", "NODE", "Agent", "Mapping", "Running", "played"]

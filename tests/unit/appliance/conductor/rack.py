"""A rack of scripted machines around the real appliance: what BMCs are told, the machines do, and they say what real
firmware, agents and installed systems say, through the same doors. Only images, seeds and SSH are faked.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

from appliance.api.fake_bmcs import FakeBmcs
from appliance.api.fake_doctor import FakeDoctor
from appliance.bmc.discovery import Suspect
from appliance.bmc.fake import FakeBmc
from appliance.boot import Ramdisk, Snapshot
from appliance.conductor.conductor import Conductor
from appliance.conductor.decision import Wait as Waits
from appliance.conductor.hands import Hands, PublishedSeed, Waiting
from appliance.conductor.memory import Memory
from appliance.conductor.outbox import carry_out
from appliance.errors import UnreachableError
from appliance.identity.bonds import Bonds
from appliance.identity.key import ApplianceKey
from appliance.identity.tpms import Tpms
from appliance.lab.topology import lab_rack
from appliance.model.bmc import PowerCommand, PowerState, SystemIdentity
from appliance.model.identity import Bound
from appliance.model.ids import ImageName, MachineName, Nonce, RunId
from appliance.model.orders import Trace
from appliance.model.place import Place
from appliance.model.site import Server, ShellAccess
from appliance.model.views import RunState, RunView
from appliance.model.words import GoalState
from appliance.plan import AnswerKind, ImageRef, InstallerRef, WriteSeed
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.services.agents import AgentDesk
from appliance.services.application import Appliance
from appliance.services.installers import FrontDesk, InstallDesk
from appliance.services.pursuit import Pursuit
from appliance.services.segment import stated_macs
from appliance.services.segment_state import SegmentState
from appliance.services.senses import Senses
from appliance.sim.loop import SimClock
from appliance.site import Site
from appliance.store.records import Entry, StepIntent
from appliance.topology import Rack
from images.agent import protocol
from images.agent.disks import FINGERPRINT_BYTES
from images.agent.errors import LinkError
from images.agent.ports import Reply
from images.agent.protocol import BadTask, Task
from images.agent.tasks import Ledger, answer, finish, report
from pxe.boot import LocalDisk, RunKernel, Wait
from pxe.client import Arch, Client, Mac, Stage
from pxe.dhcp.address import Hardware, packed
from pxe.dhcp.event import DhcpEvent
from pxe.dhcp.exchange import Kind
from pxe.http.responder import HttpReply, HttpRequest
from pxe.routes import ScriptEvent
from pxe.tftp.responder import Outcome
from pxe.tftp.server import TftpEvent
from tests.unit.appliance.conductor.virtual import VirtualLog, virtual_loop
from tests.unit.appliance.services.bound import Wire, channel

GOLDEN = Path(__file__).parents[3] / "golden/facts/qemu"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQ1Ctl0oCSIvIZYbtdxvWEjYC3x5mDSbKKzLkSKSSPX operator@desk"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0Wq3f0m2zHj9m0Pp0t1oH8l4b7n2yQ9c3u5v6w7x8y"
IMAGE = ImageRef(name=ImageName("debian-13"), manifest_sha256="a1" * 32, blob_sha256="b2" * 32, raw_bytes=2 << 30)
INSTALLER = InstallerRef(
    name=ImageName("debian-13-installer"),
    answers=AnswerKind.PRESEED,
    kernel_sha256="c3" * 32,
    initrd_sha256="d4" * 32,
    files_sha256="e5" * 32,
    raw_bytes=2 << 30,
    kernel_package="linux-image-amd64",
)
RAMDISK = Ramdisk(kernel="/artifact/k", initrd="/artifact/i", server_url="http://10.77.0.1")
WORK_SECONDS = 12
DOWN = HttpReply(status=503)


def _server(like: Server, number: int) -> Server:
    return replace(
        like,
        name=MachineName(f"node-{number}"),
        bmc=replace(like.bmc, url=f"https://10.77.1.{number + 1}"),
        mac=Mac(f"52:54:00:77:00:{number + 1:02x}"),
        address=IPv4Address(f"10.77.0.{51 + number}"),
        place=Place(rack="lab", unit=number + 1),
    )


def site(machines: int, image: ImageName = IMAGE.name) -> Site[Rack]:
    rack = replace(lab_rack(), image_names=(image,))
    servers = tuple(_server(rack.servers[0], number) for number in range(machines))
    rack = replace(rack, servers=servers, shell=ShellAccess(authorized_keys=(KEY,)))
    return Site(name="lab", topology=rack, scores=[Discover(), InstallLinux(image=image), SmokeTest()])


class Machine:
    """One server. `started` are the tasks that its agent began, with what the fence was then.

    `dies_at` names a boot stage after which nothing more comes; `crashes` is how many tasks end in a reboot halfway,
    `falls` how many end with the agent's own process, which then starts anew in the same boot. `installed` are the
    nonces with which an installer came to its end; `cuts` is how many installations end in a power cut halfway.
    """

    def __init__(self, name: MachineName, mac: Mac, number: int, rack: "FakeRack") -> None:
        self.name, self.mac, self.rack = name, mac, rack
        self.serial = f"SN000{number}"
        self.uuid = UUID(f"00000077-0000-4000-8000-{number:012d}")
        self.address = IPv4Address(f"10.77.0.{50 + number}")
        identity = SystemIdentity(
            path=f"/redfish/v1/Systems/{number}",
            uuid=self.uuid,
            serial=self.serial,
            manufacturer="Innervate Lab",
            product="Virtual Server",
            macs=(mac,),
            power=PowerState.OFF,
        )
        self.bmc = FakeBmc(identity, self._told)
        self.dies_at = ""
        self.crashes = 0
        self.falls = 0
        self.silent_seconds = 0.0
        self.started: list[Task] = []
        self.seed_nonce = ""
        self.boots = 0
        self.installed: list[str] = []
        self.begun = False
        self.cuts = 0
        self._life: asyncio.Task[None] | None = None

    def stop(self) -> None:
        if self._life is not None:
            self._life.cancel()

    def _told(self, command: PowerCommand) -> None:
        if command in (PowerCommand.FORCE_OFF, PowerCommand.GRACEFUL_OFF):
            self.stop()
        elif command is not PowerCommand.NMI:
            self.restart()

    def restart(self) -> None:
        previous, self.boots = self._life, self.boots + 1
        self._life = asyncio.create_task(self._boot(f"{self.name}-boot-{self.boots}"), name=self.name)
        if previous is not None:
            previous.cancel()

    async def _boot(self, boot_id: str) -> None:
        await asyncio.sleep(20)
        net = await self.rack.up()
        net.senses.observe(self._dhcp())
        await asyncio.sleep(2)
        if self.dies_at == "dhcp":
            return
        net = await self.rack.up()
        net.senses.observe(TftpEvent(client=self.address, name="snponly.efi", outcome=Outcome.FINISHED, sent=1))
        await asyncio.sleep(1)
        while isinstance(intent := await self._ask(), Wait):  # noqa: ASYNC110  virtual time
            await asyncio.sleep(intent.seconds)
        if self.dies_at == "script":
            return
        if isinstance(intent, RunKernel) and intent.kernel.endswith(INSTALLER.kernel_sha256):
            await self._installer(next(word for word in intent.arguments if word.startswith("url=")))
        elif isinstance(intent, RunKernel):
            nonce = next(word for word in intent.arguments if word.startswith("innervate.nonce=")).partition("=")[2]
            await self._agent(boot_id, nonce)
        else:
            await self._system(boot_id)

    async def _ask(self) -> RunKernel | LocalDisk | Wait:
        net = await self.rack.up()
        intent = net.snapshot.intent_for(Client(mac=self.mac, stage=Stage.IPXE, uuid=self.uuid))
        net.senses.observe(ScriptEvent(mac=self.mac, uuid=self.uuid, intent=type(intent), address=self.address))
        return intent

    def _dhcp(self) -> DhcpEvent:
        return DhcpEvent(
            kind=Kind.ACK,
            hardware=Hardware(bytes(self.mac)),
            stage=Stage.FIRMWARE,
            arch=Arch.EFI_X64,
            guid=b"\0" + self.uuid.bytes_le,
            given=packed(self.address),
            file=b"snponly.efi",
        )

    async def _agent(self, boot_id: str, nonce: str) -> None:
        """The agent's conversation, on the agent's own ledger and channel."""
        self._channel = channel(Wire(self._handled, nonce, self.address), boot_id)
        await asyncio.sleep(15)
        ledger, greeted, told, left, leaving = Ledger(), False, False, 0, False
        while True:
            if not greeted:
                greeted = self._say("/agent/hello", self._hello(boot_id)).status == 200
            if greeted and not told:
                told = self._say("/agent/facts", self._facts()).status == 204
            said = report(ledger, protocol.Progress(done=(WORK_SECONDS - left) << 20, total=WORK_SECONDS << 20))
            reply = self._say("/agent/poll", protocol.encode(protocol.Poll(boot_id=boot_id, task=said)))
            greeted = greeted and not 400 <= reply.status < 500
            if reply.status == 200:
                ledger, begun = answer(ledger, said, protocol.parse_poll_reply(reply.body).task)
                left = self._begin(begun) if begun is not None else left
            if leaving and ledger.finished is None:
                return self.restart()
            await asyncio.sleep(1 if reply.status == 200 else 5)
            if ledger.running is not None and (left := left - 1) <= 0:
                leaving = isinstance(ledger.running, protocol.BootDisk)
                ledger = finish(ledger, progress=protocol.Progress(), evidence={"verified": 1}, error=None)
            elif ledger.running is not None and left < WORK_SECONDS / 2:
                if self.crashes:
                    self.crashes -= 1
                    return self.restart()
                if self.falls:
                    self.falls -= 1
                    return await self._agent(boot_id, nonce)
                quiet, self.silent_seconds = self.silent_seconds, 0.0
                await asyncio.sleep(quiet)

    def _begin(self, task: Task) -> int:
        self.rack.check_intent(self, task)
        self.started.append(task)
        if isinstance(task, protocol.WriteSeed):
            self.seed_nonce = task.seed.path.rpartition("/")[2]
        return WORK_SECONDS

    async def _installer(self, word: str) -> None:
        """What the scripts in its ramdisk ask and say."""
        await asyncio.sleep(30)
        base = f"/install/{word.split('/')[-2]}"
        while (answers := await self._get(f"{base}/preseed.cfg")).status != 200:
            assert answers.status != 410
        serial, wwn, size = (await self._get(f"{base}/disk")).body.decode().splitlines()
        start = (b"\1" if self.begun else b"\0") * FINGERPRINT_BYTES
        await self._until_recorded(f"{base}/disk", start, {"serial": serial, "wwn": wwn, "size": size})
        self.begun = True
        for item in ("partman-base", "bootstrap-base", "pkgsel"):
            self._post(f"{base}/word", f"{item}: works".encode())
            await asyncio.sleep(100)
            if self.cuts:
                self.cuts -= 1
                self.restart()
                await asyncio.sleep(1)  # the power is gone, and all this with it
        self.seed_nonce = json.loads((await self._get(f"{base}/report.json")).body)["nonce"]
        await self._until_recorded(f"{base}/done", b"installed", {})
        self.installed.append(self.seed_nonce)
        self.restart()

    async def _get(self, path: str) -> HttpReply:
        net = await self.rack.up()
        return net.front.handle(
            HttpRequest(client=self.address, method="GET", path=path, query={}, headers={}, body=b"")
        )

    async def _until_recorded(self, path: str, body: bytes, query: Mapping[str, str]) -> None:
        while (status := self._post(path, body, query=query).status) != 204:
            assert status == 503
            await asyncio.sleep(2)

    async def _system(self, boot_id: str) -> None:
        await asyncio.sleep(25)
        body = {
            "nonce": self.seed_nonce,
            "boot_id": boot_id,
            "hostname": self.name,
            "serial": self.serial,
            "ssh_host_keys": [HOST_KEY],
        }
        while self._report(json.dumps(body).encode()).status != 204:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(5)

    def _post(
        self, path: str, body: bytes, nonce: str = "", query: Mapping[str, str] = MappingProxyType({})
    ) -> HttpReply:
        headers = {protocol.NONCE_HEADER.lower(): nonce}
        request = HttpRequest(client=self.address, method="POST", path=path, query=query, headers=headers, body=body)
        return self._handled(request)

    def _say(self, path: str, body: bytes) -> Reply:
        """As the link does: whatever goes wrong is no answer."""
        try:
            return self._channel.post(path, body, {})
        except LinkError:
            return Reply(status=503, body=b"")

    def _report(self, body: bytes) -> HttpReply:
        return self._post("/report", body)

    def _handled(self, request: HttpRequest) -> HttpReply:
        return self.rack.net.front.handle(request) if self.rack.net is not None else DOWN

    def _hello(self, boot_id: str) -> bytes:
        evidence = protocol.Identity(
            uuid=str(self.uuid),
            serial=self.serial,
            board_serial="",
            macs=(str(self.mac),),
            firmware=protocol.Firmware.UEFI,
        )
        return protocol.encode(protocol.Hello(boot_id=boot_id, agent_version="1", evidence=evidence))

    def _facts(self) -> bytes:
        facts = json.loads((GOLDEN / "report.json").read_text())
        facts["dmidecode"] = (GOLDEN / "dmidecode.txt").read_text().replace("SN0001", self.serial)
        return json.dumps(facts).encode()


class FakeLibrary:
    """The seed's path ends in its nonce, so that a machine knows what it would have read inside."""

    def manifest_path(self, image: ImageRef) -> str:
        return f"/artifact/{image.manifest_sha256}"

    def blob_path(self, image: ImageRef) -> str:
        return f"/artifact/{image.blob_sha256}"

    def publish_seed(self, do: WriteSeed, nonce: Nonce, reader: Bound) -> PublishedSeed:
        path = f"/artifact/seed/{do.hostname}/{nonce}"
        return PublishedSeed(path=path, sha256="cc" * 32, size=1 << 20, salt="dd" * 32)


class FakeShells:
    """Each machine is unreachable for its first two calls."""

    def __init__(self, machines: Mapping[IPv4Address, Machine]) -> None:
        self._machines = machines
        self._calls = Counter[IPv4Address]()
        self.unreachable = 2
        self.answers: dict[str, str] = {"systemctl": "active", "findmnt": "ext4"}

    def run(self, address: IPv4Address, user: str, host_keys: tuple[str, ...], argv: tuple[str, ...]) -> str:
        assert (user, host_keys) == ("root", (HOST_KEY,))
        self._calls[address] += 1
        if self._calls[address] <= self.unreachable:
            raise UnreachableError(f"{address} does not answer yet", evidence="refused")
        machine = self._machines[address]
        known = {"cat": machine.serial, "hostname": machine.name, **self.answers}
        return known[argv[0]]


class FakeTraces:
    """`forgotten` in the order in which it was asked."""

    def __init__(self) -> None:
        self.forgotten: list[tuple[MachineName, Trace]] = []

    async def forget(self, machine: MachineName, trace: Trace) -> str:
        self.forgotten.append((machine, trace))
        return "gone"


class Rng:
    def __init__(self) -> None:
        self._count = 0

    def token(self, size: int) -> str:
        self._count += 1
        return f"{self._count:0{2 * size}x}"

    def fraction(self) -> float:
        return 0.5


class Recorded(Waiting):
    """What was waited for, each sentence once."""

    def __init__(self, said: list[tuple[MachineName, str]]) -> None:
        super().__init__()
        self._said = said

    def say(self, machine: MachineName, wait: Waits | None) -> None:
        super().say(machine, wait)
        if wait is not None and (machine, wait.why) not in self._said[-1:]:
            self._said.append((machine, wait.why))


class Net:
    """One life of the appliance on one log file. It is over when `close` was called."""

    def __init__(self, rack: "FakeRack") -> None:
        loop = virtual_loop()
        self.rack = rack
        self.log = VirtualLog(rack.folder / "records.db", loop)
        self.memory = Memory(self.log)
        self.memory.open()
        self.snapshot = self._taken()
        self.memory.on_change(self._follow)
        clock = SimClock(loop)
        self.segment = SegmentState()
        self.bmcs_seen: list[Suspect] = []
        self.senses = Senses(
            self.memory, lambda: self.snapshot, self.segment, clock, rack.folder, self.bmcs_seen.append
        )
        self.bonds = Bonds(ApplianceKey(bytes(range(32))), clock, rack.salts)
        tpms = Tpms(self.bonds, rack.salts, {})
        self.desk = AgentDesk(lambda: self.snapshot, self.senses, clock, self.bonds, tpms)
        network = rack.site.topology.boot_network
        installers = InstallDesk(lambda: self.snapshot, self.senses, RAMDISK.server_url, network, clock)
        self.front = FrontDesk(self.desk, installers)
        self.said: list[tuple[MachineName, str]] = []
        self.waiting = Recorded(self.said)
        self.hands = Hands(
            memory=self.memory,
            clock=clock,
            agents=self.desk,
            library=rack.library,
            shells=rack.shells,
            bmc_of=lambda name: rack.machines[name].bmc,
            waiting=self.waiting,
            traces=rack.traces,
        )
        self.application = Appliance(
            memory=self.memory,
            site=rack.site,
            images={IMAGE.name: IMAGE, INSTALLER.name: INSTALLER},
            clock=clock,
            rng=rack.rng,
            session_of=self.desk.session,
            segment=self.segment,
            take_over=rack.taken_over.set,
            consoles={},
            bmc_desk=FakeBmcs(),
            doctor_desk=FakeDoctor(),
            waiting=self.waiting,
            bonds=self.bonds,
            ssh_key=rack.folder / "key",
        )
        self.conductor = asyncio.create_task(Conductor(self.hands, carry_out, rack.rng).run(), name="conductor")
        pursuit = Pursuit(self.memory, self.application.go_on, clock)
        self.pursuing = asyncio.create_task(pursuit.run(), name="goals")
        rack.net = self

    def _follow(self, machines: frozenset[MachineName]) -> None:
        world = self.memory.world
        self.snapshot = self.snapshot.after(map(world.machine, sorted(machines)), world.identities, RAMDISK)

    def _taken(self) -> Snapshot:
        world, topology = self.memory.world, self.rack.site.topology
        return Snapshot.of(map(world.machine, topology.machines), world.identities, stated_macs(topology), RAMDISK)

    async def ended(self) -> None:
        """Returns when no run goes on, and none is to follow by itself."""
        while self.memory.world.running or self.working:
            await self.memory.changed(self.memory.tick, None)

    @property
    def working(self) -> bool:
        return any(goal.state is GoalState.WORKING for goal in self.memory.world.open_goals)

    async def approve(self) -> RunView:
        """Plans, approves, and waits for the end."""
        run = await self.application.apply((await self.application.make_plan()).digest)  # type: ignore[arg-type]
        await self.ended()
        return self.application.run(run.id)  # type: ignore[arg-type]

    async def finish(self) -> None:
        """Until there is nothing left to plan; raises AssertionError for a run that failed."""
        await self.ended()
        while (await self.application.make_plan()).steps:
            assert (await self.approve()).state is RunState.DONE, self.failures()

    def failures(self) -> list[str]:
        return [str(state.failed) for state in self.memory.world.machines.values() if state.failed]

    async def close(self) -> None:
        """As a crash would: running steps get no end."""
        self.rack.net = None
        for task in (self.conductor, self.pursuing):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await asyncio.sleep(0.1)
        self.log.close()


class FakeRack:
    def __init__(
        self,
        folder: Path,
        machines: int = 1,
        topology: Mapping[str, object] = MappingProxyType({}),
        image: ImageName = IMAGE.name,
    ) -> None:
        """`topology` are fields of `Rack` that are not as usual, `image` what is installed."""
        self.folder = folder
        self.site = site(machines, image)
        self.site = replace(self.site, topology=replace(self.site.topology, **topology))  # type: ignore[arg-type]
        self.rng, self.salts = Rng(), Rng()
        self.net: Net | None = None
        self.taken_over = asyncio.Event()
        servers = self.site.topology.servers
        self.machines = {
            server.name: Machine(server.name, server.mac, number, self)
            for number, server in enumerate(servers, start=1)
            if server.mac is not None
        }
        self.library = FakeLibrary()
        self.traces = FakeTraces()
        self.shells = FakeShells({machine.address: machine for machine in self.machines.values()})
        self.first = next(iter(self.machines.values()))

    def run_id(self) -> RunId:
        return RunId(self.rng.token(4))

    async def up(self) -> Net:
        while self.net is None:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(3)
        return self.net

    def check_intent(self, machine: Machine, task: Task | BadTask) -> None:
        """What an agent begins has a durable intent with that fence and no result yet."""
        assert self.net is not None
        attempt = self.net.memory.world.machine(machine.name).attempt
        assert attempt is not None
        assert (f"{attempt.run}.{attempt.step}", attempt.fence) == (task.id, task.fence)

    async def entries(self) -> tuple[Entry, ...]:
        assert self.net is not None
        return await self.net.memory.read(after=0, machine=None, limit=10_000)

    async def close(self) -> None:
        for machine in self.machines.values():
            machine.stop()
        if self.net is not None:
            await self.net.close()


def intents(entries: tuple[Entry, ...]) -> list[StepIntent]:
    return [entry.record for entry in entries if isinstance(entry.record, StepIntent)]

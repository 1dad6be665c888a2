"""The product's own parts around a cluster, on the ground: log, conductor, registry, cluster desk and watch.

Machines are nodes without a BMC that are installed already; all else is what the daemon wires.
"""

import asyncio
import http.server
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import NoReturn, TypeVar

from appliance.balancer.service import BalancerFiles, BalancerService
from appliance.conductor.conductor import Conductor
from appliance.conductor.decision import AgentView
from appliance.conductor.hands import Hands, Waiting
from appliance.conductor.memory import Memory
from appliance.conductor.outbox import carry_out
from appliance.conductor.runs import RunStatus
from appliance.inventory.model import Installed, Inventory
from appliance.model.balancer import Balancer
from appliance.model.bmc import BmcEndpoint
from appliance.model.hardware import HardwareFacts
from appliance.model.ids import ImageName, MachineName, RunId
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.secret import Secret
from appliance.model.set_views import SetImportRequest, WorkState
from appliance.model.site import BootNetwork, Server, ShellAccess
from appliance.model.views import RunState
from appliance.plan import ImageRef, Plan
from appliance.registry.secrets import kept_secrets
from appliance.registry.service import RegistryFiles, RegistryService
from appliance.registry.shelf import SetShelf
from appliance.scores.score import Score
from appliance.services import clustering
from appliance.services.app_looks import AppLooks
from appliance.services.balancer import BalancerDesk
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLooks
from appliance.services.names import NamesDesk
from appliance.services.okd import OkdSite
from appliance.services.okd_asks import SiteAsks
from appliance.services.okd_keys import OkdKeys
from appliance.services.okd_programs import OkdPrograms
from appliance.services.sets import SetDesk
from appliance.services.shells import SshShells
from appliance.site import Site, plan_site
from appliance.store.cluster_backups import BACKUPS, BackupShelf
from appliance.store.log import Log
from appliance.store.records import PlanStored, RunStarted
from appliance.store.secrets import SecretFile
from appliance.supervision.host import HostChildren
from appliance.switch.cli import SwitchCli
from appliance.system import SystemClock, SystemRng
from appliance.topology import ClusterRack
from images.processes import HostProcesses
from pxe.dns.responder import ZoneRecord
from tests.cluster.nodes import GATEWAY, Ground, Node
from tests.contract import balancing
from tests.contract.registry import program
from tests.unit.appliance.store.samples import FACTS

T = TypeVar("T")
REGISTRY_PORT, WRITING_PORT, FILES_PORT = 5000, 5001, 8001
FILES = f"http://{GATEWAY.ip}:{FILES_PORT}"
DOMAIN = "lab.test"
LARGE = replace(FACTS, cores=4, memory_bytes=8 << 30)
IMAGE = ImageRef(name=ImageName("debian-13"), manifest_sha256="a1" * 32, blob_sha256="b2" * 32, raw_bytes=2 << 30)
_IMPORT_SECONDS = 180.0


def rack_of(machines: tuple[Node, ...], balancer: Balancer) -> ClusterRack:
    servers = tuple(
        Server(
            name=MachineName(one.name),
            bmc=BmcEndpoint(url=f"ipmi://127.77.9.{at}", user="", password=Secret(""), fingerprint=""),
        )
        for at, one in enumerate(machines, 1)
    )
    network = GATEWAY.network
    boot = BootNetwork(
        device="br0",
        network=network,
        address=GATEWAY.ip,
        first=network[100],
        last=network[200],
        domain=DOMAIN,
    )
    shell = ShellAccess(authorized_keys=())
    return ClusterRack(name="rack", servers=servers, boot_network=boot, shell=shell, balancer=balancer)


@dataclass(slots=True)
class Lent:
    """Files by their SHA-256, as the boot services serve them."""

    files: dict[str, Path] = field(default_factory=dict)

    def lend(self, more: Mapping[str, Path]) -> None:
        self.files |= more


class Life:
    """One life of the appliance, in the loop of whoever made it."""

    def __init__(
        self, memory: Memory, sets: SetDesk, rack: ClusterRack, hands: Hands, made: clustering.Clustering
    ) -> None:
        self.memory, self.sets, self.rack, self.hands, self.made = memory, sets, rack, hands, made

    def plan(self, score: Score[ClusterRack]) -> Plan:
        world = self.memory.world
        inventory = Inventory(
            machines={name: state.record for name, state in world.machines.items()},
            images={IMAGE.name: IMAGE},
            sets={name: held.described for name, held in world.sets.items()},
            registry=self.sets.place,
            applications=world.applications,
        )
        return plan_site(Site(name="site", topology=self.rack, scores=[score]), inventory)

    async def apply(self, plan: Plan) -> RunId:
        run = RunId(SystemRng().token(4))
        await self.memory.remember(PlanStored(plan=plan), RunStarted(run=run, plan=plan.digest))
        return run

    async def begun(self, run: RunId, action: str) -> None:
        """Until the work of every step like this is under way: an order whose answer nobody lived to see is given
        again, as it should be."""
        while True:
            status = self.memory.world.runs[run]
            steps = [step.id for step in status.plan.steps if step.do.action == action]
            mine = [status.attempts.get(step) for step in steps]
            if all(one is not None and any(sent.answered for sent in one.orders) for one in mine):
                return
            assert status.state is RunState.RUNNING, action
            await self.memory.changed(self.memory.tick, 1.0)

    async def ended(self, run: RunId) -> RunStatus:
        while (status := self.memory.world.runs[run]).state is RunState.RUNNING:
            await self.memory.changed(self.memory.tick, 1.0)
        return status


@asynccontextmanager
async def living(
    ground: Ground,
    machines: tuple[Node, ...],
    lent: Lent,
    silent: frozenset[str] = frozenset(),
    facts: Callable[[Node], HardwareFacts] = lambda _: LARGE,
    balancing: Balancer | None = None,
) -> AsyncIterator[Life]:
    """`silent` are those machines of which it is known that they do not answer. Its state is in `ground.folder`; what
    is installed on machines it is told, as no BMC is there to be asked, and their hardware."""
    state, clock = ground.folder / "state", SystemClock()
    async with AsyncExitStack() as closing:
        log = Log(state / "records.db", clock)
        closing.callback(log.close)
        memory = Memory(log)
        memory.open()
        for machine in machines:
            told(memory, ground, machine, facts(machine), silent=machine.name in silent)
        registry = _registry(state)
        works = [asyncio.create_task(keeper.run()) for keeper in registry.keepers(HostChildren())]
        closing.push_async_callback(_over, works)
        shelf = SetShelf(state / "shelf")
        sets = SetDesk(registry, shelf, folder=state / "sets", memory=memory, processes=HostProcesses(), clock=clock)
        closing.push_async_callback(sets.close)
        await sets.run()
        secrets = SecretFile(state / "clusters.vault", SystemRng())
        closing.callback(secrets.close)
        rack, shells = rack_of(machines, balancing or Balancer()), SshShells(ground.key)
        stands = clustering.Ground(
            memory=memory,
            sets=sets,
            lend=lent.lend,
            shells=shells,
            files=FILES,
            user="root",
            domain=DOMAIN,
            balancer=_balancer(state, closing),
            backups=BackupShelf(state / BACKUPS),
            okd=okd_site(state, okd_keys(state, closing), lambda _: None),
            switches={},
            switch_shells=SwitchCli(ground.key),
            clock=clock,
            rng=SystemRng(),
        )
        made = clustering.clustering(stands, ClusterKeys(secrets), ClusterLooks(), AppLooks())
        hands = Hands(
            memory=memory,
            clock=clock,
            agents=_Nobody(),
            library=_Nobody(),
            shells=shells,
            bmc_of=_no_bmc,
            traces=_Nobody(),
            waiting=Waiting(),
            clusters=made.desk,
        )
        conductor = asyncio.create_task(Conductor(hands, carry_out, SystemRng()).run())
        closing.push_async_callback(_over, [conductor, asyncio.create_task(made.stand_by())])
        yield Life(memory, sets, rack, hands, made)


def told(memory: Memory, ground: Ground, machine: Node, facts: HardwareFacts, *, silent: bool) -> None:
    name = MachineName(machine.name)
    installed = Installed(
        image=IMAGE, hostname=name, address=machine.address, host_keys=(ground.host_key,), confirmed=True
    )
    before = memory.world.machine(name)
    why = Condition(kind=ConditionKind.UNREACHABLE, since=1.0, reason="it does not answer") if silent else None
    memory.world.machines[name] = replace(
        before, phase=Phase.ACTIVE, since=1.0, facts=facts, installed=installed, silent=why
    )


async def imported(sets: SetDesk, name: str) -> None:
    """From the folder of sets."""
    sets.begin_import(SetImportRequest(folder=name), "test")
    async with asyncio.timeout(_IMPORT_SECONDS):
        while (job := sets.sets().job) is None or job.state is WorkState.RUNNING:  # noqa: ASYNC110  a thread works
            await asyncio.sleep(0.05)
    assert job.state is WorkState.DONE, job.fault


def on(ground: Ground, work: Callable[[], Coroutine[object, object, T]]) -> T:
    """Runs it in a thread that is on the ground, and whose threads and programs are, too."""
    found: list[T] = []
    failed: list[BaseException] = []

    def inside() -> None:
        with ground.inside():
            try:
                found.append(asyncio.run(work()))
            except BaseException as error:
                failed.append(error)

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


@contextmanager
def serving(ground: Ground, lent: Lent) -> Iterator[None]:
    with ground.inside():
        server = http.server.ThreadingHTTPServer((str(GATEWAY.ip), FILES_PORT), partial(_Files, lent=lent))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Files(http.server.BaseHTTPRequestHandler):
    def __init__(self, *args: object, lent: Lent) -> None:
        self._lent = lent
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        path = self._lent.files.get(self.path.rpartition("/")[2])
        if path is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Length", str(path.stat().st_size))
        self.end_headers()
        with path.open("rb") as file:
            while piece := file.read(1 << 20):
                self.wfile.write(piece)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its base class's word
        pass


def okd_keys(state: Path, closing: AsyncExitStack) -> OkdKeys:
    file = SecretFile(state / "okd.vault", SystemRng())
    closing.callback(file.close)
    return OkdKeys(file)


def okd_site(state: Path, made: OkdKeys, offer: Callable[[tuple[ZoneRecord, ...]], None]) -> OkdSite:
    return OkdSite(
        made=made,
        programs=OkdPrograms(HostProcesses(), state / "content/okd"),
        names=NamesDesk(state / "names.json", offer),
        asks=SiteAsks(GATEWAY.ip),
    )


def _balancer(state: Path, closing: AsyncExitStack) -> BalancerDesk:
    files = BalancerFiles(folder=state / "balancer")
    haproxy = balancing.program("haproxy", balancing.HAPROXY)
    service = BalancerService(files, HostChildren(), HostProcesses(), SystemClock(), haproxy)
    desk = BalancerDesk(service, state / "balancer" / "wanted.json", GATEWAY.ip, SystemClock())
    desk.start()
    closing.push_async_callback(desk.close)
    return desk


def _registry(state: Path) -> RegistryService:
    file = SecretFile(state / "registry.vault", SystemRng())
    secrets = kept_secrets(file, "site", SystemClock(), SystemRng())
    file.close()
    service = RegistryService(
        RegistryFiles(folder=state / "registry"),
        secrets,
        address=GATEWAY.ip,
        port=REGISTRY_PORT,
        writing_port=WRITING_PORT,
        clock=SystemClock(),
        rng=SystemRng(),
        program=program(),
    )
    service.lay_out()
    return service


async def _over(works: list[asyncio.Task[None]]) -> None:
    for work in works:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)


def _no_bmc(name: MachineName) -> NoReturn:
    raise AssertionError(f"{name} has no BMC")


class _Nobody:
    """No agent, no library, no traces: none of these steps needs one."""

    def heard(self, machine: MachineName) -> AgentView:
        return AgentView()

    def assign(self, machine: MachineName, task: object) -> None:
        assert task is None, machine

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(name)

"""The product's own parts around an OKD on the ground: log, conductor, boot services, registry, balancer, names, watch.

Machines are processes in namespaces (`standin/machine.py`), switched on by a BMC that is the place's; an appliance that
dies leaves them running. Their etcd is the ground's: machines come and go.
"""

import asyncio
import json
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from appliance.boot import Ramdisk
from appliance.conductor.conductor import Conductor
from appliance.conductor.hands import Hands, Waiting
from appliance.conductor.memory import Memory
from appliance.conductor.outbox import carry_out
from appliance.conductor.runs import RunStatus
from appliance.daemon import _Present
from appliance.errors import MachineryError
from appliance.identity.bonds import Bonds
from appliance.identity.key import kept_key
from appliance.identity.tpms import Tpms
from appliance.inventory.model import Inventory
from appliance.lab.demo import IMAGES
from appliance.model.balancer import Balancer
from appliance.model.bmc import BmcEndpoint, BootOverride, BootTarget, PowerCommand, PowerState, SystemIdentity
from appliance.model.hardware import Disk
from appliance.model.ids import MachineName, RunId
from appliance.model.phase import Phase
from appliance.model.secret import Secret
from appliance.model.site import BootNetwork, Server, ShellAccess
from appliance.model.views import RunState
from appliance.okd.disks import device_of
from appliance.plan import Plan
from appliance.registry.shelf import SetShelf
from appliance.scores.okd import OkdCluster
from appliance.services import clustering
from appliance.services.agents import AgentDesk
from appliance.services.app_looks import AppLooks
from appliance.services.balancer import BalancerDesk
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLooks
from appliance.services.installers import FrontDesk, InstallDesk
from appliance.services.library import Library, artifact_path
from appliance.services.okd_given import OkdGiven
from appliance.services.segment import dhcp_of, endpoints_of, zone_of
from appliance.services.segment_state import SegmentState
from appliance.services.senses import Senses
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
from images.kubernetes.binaries import binaries_recipe
from images.processes import HostProcesses
from images.store import Store
from pxe.boot import NBP_NAMES
from pxe.client import Mac
from pxe.content import BytesContent, ContentTable
from pxe.dhcp.guards import Guards
from pxe.service import BootServices, ServiceConfig
from tests.cluster import product
from tests.cluster.nodes import GATEWAY, Ground, Node, ground
from tests.cluster.product import imported
from tests.foreign import unpacked
from tests.okd.sets import stand_in_set
from tests.okd.standin import installer, machine
from tests.unit.appliance.okd.samples import KEY
from tests.unit.appliance.store.samples import FACTS

HTTP_PORT, ETCD = 8080, f"http://{GATEWAY.ip}:2379"
PROGRAMS = ("kube-apiserver", "kube-controller-manager")
_SETTLES = 60.0
SET = f"okd-{installer.VERSION}-amd64"


class Machines:
    """Their power, and what they left. They outlive the appliance's lives."""

    def __init__(self, made: Ground, nodes: tuple[Node, ...], told: dict[str, object]) -> None:
        self._ground, self._told = made, told
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.numbers = {node.name: number for number, node in enumerate(nodes)}
        self.nodes = {node.name: node for node in nodes}
        self.starts = dict.fromkeys(self.nodes, 0)

    def mac(self, name: str) -> str:
        return f"52:54:00:00:02:{self.numbers[name]:02x}"

    def disk(self, name: str) -> Disk:
        return Disk(
            name="sda",
            serial=f"{name}-disk",
            wwn=f"naa.5002538c407123{self.numbers[name]:02x}",
            size_bytes=200 * 10**9 // 512 * 512,
            model="STAND-IN",
            rotational=False,
            removable=False,
            contents="blank",
        )

    def folder(self, name: str) -> Path:
        return self._ground.folder / "machines" / name

    def is_on(self, name: str) -> bool:
        running = self._running.get(name)
        return running is not None and running.poll() is None

    def on(self, name: str) -> None:
        self.starts[name] += 1
        folder = self.folder(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "resolv.conf").write_text(f"nameserver {GATEWAY.ip}\noptions timeout:1 attempts:5\n")
        about = {
            "name": name,
            "mac": self.mac(name),
            "address": str(self.nodes[name].address),
            "device": device_of(MachineName(name), self.disk(name)),
            "wwn": self.disk(name).wwn,
        }
        (folder / "settings.json").write_text(json.dumps({**self._told, **about}))
        script = (
            f"mount --bind {folder}/resolv.conf /etc/resolv.conf && exec {sys.executable} {machine.__file__} {folder}"
        )
        private = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", script)
        self._running[name] = self._ground.run("ip", "netns", "exec", name, *private, log=f"{name}.out")

    def off(self, name: str) -> None:
        if (running := self._running.pop(name, None)) is not None:
            running.kill()
            running.wait()

    def console(self, name: str) -> str:
        path = self.folder(name) / "console.log"
        return path.read_text() if path.exists() else ""

    def stop(self) -> None:
        for name in list(self._running):
            self.off(name)


def encoded(raw: bytes) -> str:
    return b64encode(raw).decode()


class _Bmc:
    """A machine's power, accepted at once."""

    def __init__(self, machines: Machines, name: str) -> None:
        self._machines, self._name = machines, name

    async def identify(self) -> SystemIdentity:
        raise AssertionError("nobody asks who it is")

    async def power_state(self) -> PowerState:
        return PowerState.ON if self._machines.is_on(self._name) else PowerState.OFF

    async def command(self, command: PowerCommand) -> None:
        if command is not PowerCommand.ON:
            self._machines.off(self._name)
        if command.boots:
            self._machines.on(self._name)

    async def boot(self) -> BootOverride:
        raise AssertionError("nobody asks what it boots")

    async def set_boot(self, override: BootOverride) -> BootOverride:
        return override

    async def set_boot_once(self, target: BootTarget) -> BootTarget:
        return target

    async def boot_override(self) -> BootTarget:
        raise AssertionError("nobody asks what it boots")

    async def close(self) -> None:
        return


@dataclass(slots=True)
class Life:
    """One life of the appliance."""

    memory: Memory
    sets: SetDesk
    rack: ClusterRack
    hands: Hands
    keys: ClusterKeys
    balancer: BalancerDesk

    def plan(self, score: OkdCluster) -> Plan:
        world = self.memory.world
        inventory = Inventory(
            machines={name: state.record for name, state in world.machines.items()},
            images={},
            sets={name: held.described for name, held in world.sets.items()},
            registry=self.sets.place,
        )
        return plan_site(Site(name="site", topology=self.rack, scores=[score]), inventory)

    async def apply(self, plan: Plan) -> RunId:
        run = RunId(SystemRng().token(4))
        await self.memory.remember(PlanStored(plan=plan), RunStarted(run=run, plan=plan.digest))
        return run

    async def begun(self, run: RunId, action: str, orders: int) -> None:
        """Until a step like this is under way, so many orders and their answers on record: one whose answer nobody
        lived to see is given again, as it should be."""
        while True:
            status = self.memory.world.runs[run]
            steps = [step for step in status.plan.steps if step.do.action == action]
            under_way = [one for step in steps if (one := status.attempts.get(step.id)) is not None]
            if under_way and all(sum(sent.answered for sent in one.orders) == orders for one in under_way):
                return
            assert status.state is RunState.RUNNING, (action, [one.result for one in status.attempts.values()])
            await self.memory.changed(self.memory.tick, 1.0)

    async def settled(self) -> None:
        """Until the balancer leads to a control plane: it was only just started."""
        async with asyncio.timeout(_SETTLES):
            while True:
                with suppress(MachineryError):
                    if any(one.serves and one.listener == "prod-api" for one in await self.balancer.states()):
                        return
                await asyncio.sleep(0.2)

    async def ended(self, run: RunId) -> RunStatus:
        while (status := self.memory.world.runs[run]).state is RunState.RUNNING:
            await self.memory.changed(self.memory.tick, 1.0)
        return status


class Place:
    def __init__(self, made: Ground, machines: Machines, rack: ClusterRack) -> None:
        self.ground, self.machines, self.rack = made, machines, rack

    @asynccontextmanager
    async def life(self) -> AsyncIterator[Life]:
        state, clock, rng, rack = self.ground.folder / "state", SystemClock(), SystemRng(), self.rack
        network = rack.boot_network
        async with AsyncExitStack() as closing:
            log = Log(state / "records.db", clock)
            closing.callback(log.close)
            memory = Memory(log)
            memory.open()
            self._tell(memory)
            sets = await _sets(state, memory, closing)
            made = product.okd_keys(state, closing)
            origin = endpoints_of(network).url("")
            present = _Present(memory.world, rack, Ramdisk(kernel="/none", initrd="/none", server_url=origin))
            memory.on_change(present.follow)
            senses = Senses(memory, present.read, SegmentState(), clock, state, lambda _: None)
            key = kept_key(state / "identity.vault", rng)
            bonds = Bonds(key, clock, rng)
            agents = AgentDesk(present.read, senses, clock, bonds, Tpms(bonds, rng, {}))
            given = OkdGiven(made, clock)
            desk = InstallDesk(present.read, senses, origin, network, clock, okd=given)
            services = BootServices(
                config=_config(rack, state),
                policy=present,
                artifacts=ContentTable({}),
                application=FrontDesk(agents, desk),
                observe=senses.observe,
                clock=clock,
            )
            offer = services.set_artifacts
            library = Library(
                {}, network, f"{origin}/report", HostProcesses(), offer, state / "seeds", key, rack.identity, rng
            )
            secrets = SecretFile(state / "clusters.vault", rng)
            closing.callback(secrets.close)
            keys, balancer = ClusterKeys(secrets), product._balancer(state, closing)
            stands = clustering.Ground(
                memory=memory,
                sets=sets,
                lend=library.lend,
                shells=SshShells(self.ground.key),
                files=f"{origin}{artifact_path('')}",
                user="core",
                domain=rack.domain,
                balancer=balancer,
                backups=BackupShelf(state / BACKUPS),
                okd=product.okd_site(state, made, services.set_names),
                switches={},
                switch_shells=SwitchCli(self.ground.key),
                clock=clock,
                rng=rng,
            )
            cluster = clustering.clustering(stands, keys, ClusterLooks(), AppLooks())
            services.start()
            closing.callback(services.stop)
            hands = Hands(
                memory=memory,
                clock=clock,
                agents=agents,
                library=library,
                shells=SshShells(self.ground.key),
                bmc_of=lambda name: _Bmc(self.machines, name),
                traces=product._Nobody(),
                waiting=Waiting(),
                clusters=cluster.desk,
            )
            works = [asyncio.create_task(one) for one in (Conductor(hands, carry_out, rng).run(), cluster.stand_by())]
            closing.push_async_callback(product._over, works)
            yield Life(memory, sets, rack, hands, keys, balancer)

    def _tell(self, memory: Memory) -> None:
        """What discovery has found, of machines that nothing else is known of."""
        for name in map(MachineName, self.machines.nodes):
            before = memory.world.machine(name)
            if before.facts is None:
                facts = replace(FACTS, memory_bytes=16 << 30, disks=(self.machines.disk(name),), serial="")
                memory.world.machines[name] = replace(before, facts=facts, facts_current=True)
            if before.phase is Phase.UNKNOWN:
                memory.world.machines[name] = replace(memory.world.machines[name], phase=Phase.AVAILABLE, since=1.0)

    def forge(self, name: str, request: bytes) -> None:
        """A request for that node's certificate, by whoever has what all machines join with."""
        path = self.machines.folder("w-0") / "disk/etc/kubernetes/kubeconfig"
        with self.ground.inside():
            api = machine.Api(path.read_text(), host=str(GATEWAY.ip))
            spec = {"signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": list(machine.CLIENT_USAGES)}
            about = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}
            body = {**about, "metadata": {"name": f"forged-{name}"}, "spec": {**spec, "request": encoded(request)}}
            status, said = api.ask("POST", machine.REQUESTS, body)
            assert status == HTTPStatus.CREATED, said

    def import_set(self, folder: str) -> None:
        product.on(self.ground, lambda: self._import(folder))

    async def _import(self, folder: str) -> None:
        async with self.life() as life:
            await imported(life.sets, folder)


async def _sets(state: Path, memory: Memory, closing: AsyncExitStack) -> SetDesk:
    registry, clock = product._registry(state), SystemClock()
    works = [asyncio.create_task(keeper.run()) for keeper in registry.keepers(HostChildren())]
    closing.push_async_callback(product._over, works)
    shelf = SetShelf(state / "shelf")
    sets = SetDesk(registry, shelf, folder=state / "sets", memory=memory, processes=HostProcesses(), clock=clock)
    closing.push_async_callback(sets.close)
    await sets.run()
    return sets


def _config(rack: ClusterRack, state: Path) -> ServiceConfig:
    network, nobody = rack.boot_network, frozenset[MachineName]()
    return ServiceConfig(
        device=network.device,
        mode=network.mode,
        dhcp=dhcp_of(rack, nobody),
        endpoints=endpoints_of(network),
        journal=state / "leases.journal",
        guards=Guards(),
        zone=zone_of(rack, nobody),
        programs=ContentTable({name: BytesContent(data=b"STAND-IN") for name in sorted(NBP_NAMES)}),
    )


def rack_of(nodes: tuple[Node, ...], machines: Machines) -> ClusterRack:
    servers = tuple(
        Server(
            name=MachineName(node.name),
            bmc=BmcEndpoint(url=f"ipmi://127.77.9.{at}", user="", password=Secret(""), fingerprint=""),
            address=node.address,
            mac=Mac.parse(machines.mac(node.name)),
        )
        for at, node in enumerate(nodes, 1)
    )
    network = GATEWAY.network
    boot = BootNetwork(
        device="br0",
        network=network,
        address=GATEWAY.ip,
        first=network[100],
        last=network[200],
        domain=product.DOMAIN,
        http_port=HTTP_PORT,
        alone=True,
    )
    shell = ShellAccess(user="core", authorized_keys=(KEY,))
    return ClusterRack(name="rack", servers=servers, boot_network=boot, shell=shell, balancer=Balancer())


def programs(folder: Path) -> bool:
    """Kubernetes' own, of the set that we compile. False where they are not in the store."""
    store, recipe = Store(IMAGES), binaries_recipe()
    if (found := store.find(recipe.name, recipe.key)) is None:
        return False
    folder.mkdir()
    for name in PROGRAMS:
        subprocess.run(["cp", "--reflink=auto", store.path_of(found.artifact(name).sha256), folder / name], check=True)
        (folder / name).chmod(0o755)
    return True


@contextmanager
def place(folder: Path, nodes: tuple[Node, ...], planes: tuple[str, ...], workers: tuple[str, ...]) -> Iterator[Place]:
    """Every machine is off, the set is held. `folder` has `programs`."""
    (folder / "state/sets").mkdir(parents=True)
    stand_in_set(folder / "state/sets/okd")
    with ExitStack() as stack:
        made = stack.enter_context(ground(folder, Path("/none"), nodes))
        etcd = unpacked("etcd-server") / "usr/bin/etcd"
        words = (f"--data-dir={folder}/etcd", f"--listen-client-urls={ETCD}", f"--advertise-client-urls={ETCD}")
        peers = f"http://{GATEWAY.ip}:2380"
        more = (
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        )
        running = made.run(str(etcd), *words, *more, log="etcd.log")
        stack.callback(running.wait)
        stack.callback(running.kill)
        stack.enter_context(_time(made))
        first = next(node for node in nodes if node.name == planes[0])
        told: dict[str, object] = {
            "origin": f"http://{GATEWAY.ip}:{HTTP_PORT}",
            "programs": str(folder / "programs"),
            "etcd": ETCD,
            "first": str(first.address),
            "shared": str(folder / "shared"),
            "planes": planes,
            "workers": workers,
            "version": installer.VERSION,
        }
        machines = Machines(made, nodes, told)
        stack.callback(machines.stop)
        found = Place(made, machines, rack_of(nodes, machines))
        found.import_set("okd")
        yield found


@contextmanager
def _time(made: Ground) -> Iterator[None]:
    """Whoever asks for the time on the ground gets this machine's (RFC 5905): chrony needs a machine to itself."""
    with made.inside():
        served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        served.bind((str(GATEWAY.ip), 123))

    def answer() -> None:
        while True:
            try:
                _, whom = served.recvfrom(512)
            except OSError:
                return
            now = int(time.time()) + 2_208_988_800
            served.sendto(b"\x24\x03\x00\xe9" + bytes(36) + now.to_bytes(4) + bytes(4), whom)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        served.close()

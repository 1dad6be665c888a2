"""The daemon's wiring for clusters, with the real registry: what is stated runs, and ends with the daemon."""

import asyncio
import os
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from appliance.conductor.memory import Memory
from appliance.config import Settings
from appliance.lab.topology import lab_rack
from appliance.model.balancer import Balancer, BalancerPlace
from appliance.model.set_views import SetImportRequest, SetJobView, WorkState
from appliance.model.site import BootNetwork
from appliance.model.site_services import Registry
from appliance.services.cluster_views import ClusterViews
from appliance.services.sets import NoRegistry, SetDesk
from appliance.serving import serve_clusters
from appliance.store.log import Log
from appliance.system import SystemClock
from appliance.topology import ClusterRack
from images.application.build import package
from images.signature import make_key
from images.store import Store
from tests.contract.registry import free_ports, make_set, program
from tests.packages import OFFLINE, plain_example

NETWORK = BootNetwork(
    device="lo",
    network=IPv4Network("127.0.0.0/8"),
    address=IPv4Address("127.0.0.1"),
    first=IPv4Address("127.0.1.1"),
    last=IPv4Address("127.0.1.9"),
    domain="lab.test",
)


def settings_in(folder: Path) -> Settings:
    return Settings(
        state_dir=folder / "state",
        socket=folder / "socket",
        site=folder / "site.py",
        images_dir=folder / "images",
        sets_dir=folder / "sets",
    )


def remembering(folder: Path, closing: AsyncExitStack) -> Memory:
    folder.mkdir(parents=True, exist_ok=True)
    log = Log(folder / "records.db", SystemClock())
    memory = Memory(log)
    memory.open()
    closing.callback(log.close)
    return memory


def test_a_plain_rack_has_nothing_for_clusters(tmp_path: Path) -> None:
    async def played() -> None:
        async with AsyncExitStack() as closing:
            settings = settings_in(tmp_path)
            made = serve_clusters(settings, "lab", lab_rack(), remembering(settings.state_dir, closing), closing)
            assert isinstance(made.sets, NoRegistry)
            assert (made.held, made.balancer, made.services(), made.kept()) == (None, None, (), ())
            assert made.clusters().clusters().clusters == ()

    asyncio.run(played())


@pytest.mark.long
def test_a_cluster_rack_has_a_registry_that_ends_with_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(program()[0]).parent), os.environ["PATH"])))
    (tmp_path / "sets").mkdir()
    described = make_set(tmp_path / "sets/mine")
    sets, store, source = tmp_path / "sets", Store(tmp_path / "store"), plain_example(tmp_path / "source")
    strange = package(source, sets, store, OFFLINE, make_key(bytes(40)))
    port, writing = free_ports(2)
    rack = ClusterRack(
        name="lab",
        servers=(),
        boot_network=NETWORK,
        registry=Registry(port=port, writing_port=writing, trusted_keys=(make_key(bytes(range(40))).public.line,)),
        balancer=Balancer(place=BalancerPlace.CONTROL_PLANES, address=IPv4Address("127.0.0.9")),
    )
    pids = list[int]()

    async def played() -> str:
        async with AsyncExitStack() as closing:
            settings = settings_in(tmp_path)
            made = serve_clusters(settings, "lab", rack, remembering(settings.state_dir, closing), closing)
            assert made.balancer is None, "the control planes have it"
            assert rack.cluster_address == IPv4Address("127.0.0.9")
            assert isinstance(made.clusters(), ClusterViews)
            assert made.held is not None
            async with asyncio.timeout(30):
                while not all(one.running_since for one in made.services()) or not _answers(port):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                made.held.begin_import(SetImportRequest(folder="mine"), "ann")
                assert (fault := (await _ended(made.held)).fault) is None, fault
                made.held.begin_import(SetImportRequest(folder=strange.name), "ann")
                assert (refused := (await _ended(made.held)).fault) is not None
                assert "is of nobody who is trusted" in refused.message
            await made.held.require(described.name)
            pids.extend(keeper.pid for keeper in made.keepers if keeper.pid is not None)
            return made.held.place.authority

    first = asyncio.run(played())
    assert "BEGIN CERTIFICATE" in first
    assert asyncio.run(played()) == first, "nodes trust it for as long as they live"
    assert len(pids) == 4
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


async def _ended(desk: SetDesk) -> SetJobView:
    while (job := desk.sets().job) is None or job.state is WorkState.RUNNING:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return job


def _answers(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True

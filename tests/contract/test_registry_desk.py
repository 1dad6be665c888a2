"""Sets as the daemon works on them: what is begun is shown, what is held is remembered, and nobody reads elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.conductor.memory import Memory
from appliance.errors import ConflictError, IncompleteError, NotFoundError, UsageError
from appliance.model.set_views import SetImportRequest, SetJobView, SetWork, WorkState
from appliance.registry.service import RegistryService
from appliance.registry.shelf import SetShelf
from appliance.services.sets import NoRegistry, SetDesk
from appliance.store.log import Log
from appliance.system import SystemClock
from images.processes import HostProcesses
from tests.contract.registry import make_set, registry


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryService]:
    with registry(tmp_path_factory.mktemp("registry") / "state") as running:
        yield running


@asynccontextmanager
async def opened(service: RegistryService, state: Path) -> AsyncIterator[tuple[SetDesk, Memory]]:
    log = Log(state / "records.db", SystemClock())
    memory = Memory(log)
    memory.open()
    desk = SetDesk(
        service,
        SetShelf(state / "shelf"),
        folder=state / "sets",
        memory=memory,
        processes=HostProcesses(),
        clock=SystemClock(),
    )
    try:
        yield desk, memory
    finally:
        await desk.close()
        log.close()


async def ended(desk: SetDesk) -> SetJobView:
    async with asyncio.timeout(30):
        while (job := desk.sets().job) is None or job.state is WorkState.RUNNING:  # noqa: ASYNC110  a thread works
            await asyncio.sleep(0.01)
    return job


def test_a_set_from_folder_to_folder(service: RegistryService, tmp_path: Path) -> None:
    (tmp_path / "sets").mkdir()
    described = make_set(tmp_path / "sets/mine")

    async def first_life() -> None:
        async with opened(service, tmp_path) as (desk, memory):
            began = desk.begin_import(SetImportRequest(folder="mine"), "ann").job
            assert began is not None
            assert (began.work, began.state) == (SetWork.IMPORT, WorkState.RUNNING)
            with pytest.raises(ConflictError):
                desk.begin_import(SetImportRequest(folder="mine"), "ben")
            assert (await ended(desk)).state is WorkState.DONE
            await desk.require(described.name)
            assert memory.world.sets[described.name].described == described

    async def second_life() -> None:
        """Of another daemon: what it holds is known, and looked at."""
        async with opened(service, tmp_path) as (desk, memory):
            (view,) = desk.sets().sets
            assert (view.name, view.provenance, view.images, view.looked) == (described.name, "stand-in", 2, None)
            await desk.run()
            assert desk.sets().sets[0].looked is not None
            desk.path_of(described.name, described.files[0]).unlink()
            desk.begin_check(described.name)
            job = await ended(desk)
            assert job.fault is not None
            assert (job.state, job.fault.code) == (WorkState.FAILED, "incomplete")
            assert "kubelet" in desk.sets().sets[0].gaps[0]
            assert desk.kept()[0].gaps
            with pytest.raises(IncompleteError):
                await desk.require(described.name)
            desk.begin_removal(described.name, "ann")
            assert (await ended(desk)).state is WorkState.DONE
            assert desk.sets().sets == ()
            assert memory.world.sets == {}

    asyncio.run(first_life())
    asyncio.run(second_life())


@pytest.mark.parametrize("folder", ["", ".", "..", "../x", "/etc", "a/b", "mine/../..", "x" * 200, "a\nb"])
def test_who_asks_reads_nothing_but_sets(service: RegistryService, tmp_path: Path, folder: str) -> None:
    async def asked() -> None:
        async with opened(service, tmp_path) as (desk, _memory):
            with pytest.raises(UsageError):
                desk.begin_import(SetImportRequest(folder=folder), "ann")

    asyncio.run(asked())


def test_a_folder_that_is_a_link_is_not_followed(service: RegistryService, tmp_path: Path) -> None:
    make_set(tmp_path / "elsewhere")
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets/mine").symlink_to(tmp_path / "elsewhere")

    async def asked() -> None:
        async with opened(service, tmp_path) as (desk, memory):
            desk.begin_import(SetImportRequest(folder=f"{tmp_path}/sets/mine"), "ann")
            job = await ended(desk)
            assert job.fault is not None
            assert (job.state, job.fault.code) == (WorkState.FAILED, "usage")
            assert memory.world.sets == {}

    asyncio.run(asked())


def test_no_registry_holds_no_sets(service: RegistryService, tmp_path: Path) -> None:
    for ask in (NoRegistry().sets, lambda: NoRegistry().begin_check("x"), lambda: NoRegistry().begin_removal("x", "")):
        with pytest.raises(NotFoundError, match="no container registry"):
            ask()

    async def asked() -> None:
        async with opened(service, tmp_path) as (desk, _memory):
            with pytest.raises(NotFoundError):
                desk.begin_check("k3s-v1-amd64")

    asyncio.run(asked())

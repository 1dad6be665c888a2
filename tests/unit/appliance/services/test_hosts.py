"""Steps of container hosts and who stands by them afterwards, on a host that does what it is told."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.apps.smoke import SmokeTest
from appliance.conductor.decision import Progress
from appliance.conductor.memory import Memory
from appliance.errors import ClusterError, UnreachableError
from appliance.hosting import engine
from appliance.model.cluster import SetRef
from appliance.model.hosted import ContainerHost, DeployHosted, Hosted, HostedSpec, PrepareHost, RetireHosted
from appliance.services.host_watch import HostWatch
from appliance.services.host_work import HostWork
from appliance.services.hosts import HostDesk
from appliance.store.log import Log
from appliance.store.records import Noted
from appliance.system import SystemClock
from tests.unit.appliance.services.cluster_scene import Clock, installed
from tests.unit.appliance.services.host_scene import NODE, PODMAN, REGISTRY, Host, Packages, package, spec

T = TypeVar("T")
ONE, TWO, OTHER = package("1.0.0"), package("1.1.0"), package("1.0.0", "other")
SETS = (PODMAN, ONE, TWO, OTHER)
UNIT = f"{engine.FOLDER}web/web.container"
PREPARE = PrepareHost(set=SetRef.of(PODMAN.name, PODMAN), registry=REGISTRY)


def now(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


async def page(address: IPv4Address, port: int, path: str) -> tuple[int, bytes]:
    if port == 1:
        raise UnreachableError("nobody listens")
    return 200, b"hello"


def work(host: Host, port: int = 80) -> HostWork:
    return HostWork(Packages(SETS, SmokeTest(service="web", port=port)), host, page)


def deployed(host: Host, version: HostedSpec, port: int = 80) -> tuple[Progress, str]:
    """Put there, and looked at."""

    async def whole() -> tuple[Progress, str]:
        desk = HostDesk(work(host, port))
        before = await desk.look(NODE, DeployHosted(app=version))
        assert before.progress is Progress.NOT_BEGUN
        await desk.begin(NODE, DeployHosted(app=version))
        sight = await desk.look(NODE, DeployHosted(app=version))
        return sight.progress, sight.problem.evidence if sight.problem is not None else sight.words

    return now(whole())


def test_a_host_is_prepared_for_one_registry_alone() -> None:
    job = work(Host()).preparation(PREPARE)
    files = {file.path: str(file.text) for file in job.files}
    assert '"default": [\n  {\n   "type": "reject"' in files["/etc/containers/policy.json"]
    assert f'"{REGISTRY}"' in files["/etc/containers/policy.json"]
    assert files[f"/etc/containers/certs.d/{REGISTRY}/ca.crt"].startswith("-----BEGIN CERTIFICATE-----")
    assert [one.sha256 for one in job.downloads] == ["e" * 64]
    other = work(Host()).preparation(replace(PREPARE, registry="10.77.0.2:5000"))
    assert other.mark != job.mark


def test_a_version_is_put_there_and_believed() -> None:
    host = Host()
    assert deployed(host, spec(ONE)) == (Progress.DONE, "runs 1.0.0")
    assert f"Image={REGISTRY}/apps/web@{ONE.images[0].digest}" in host.files[UNIT]
    assert deployed(host, spec(TWO)) == (Progress.DONE, "runs 1.1.0")
    assert host.images == {f"{REGISTRY}/apps/web@{TWO.images[0].digest}"}


@pytest.mark.parametrize(
    ("host", "port", "progress", "says"),
    [
        (Host(active="activating"), 80, Progress.AT_WORK, "web.service is activating (running)"),
        (Host(active="failed"), 80, Progress.FAILED, "web.service has failed"),
        (Host(), 1, Progress.AT_WORK, "its smoke test misses: nobody listens"),
    ],
)
def test_a_version_that_is_not_well(host: Host, port: int, progress: Progress, says: str) -> None:
    """Images of the one before are not touched."""
    good = Host()
    deployed(good, spec(ONE))
    host.files, host.images = dict(good.files), set(good.images)
    assert deployed(host, spec(TWO), port) == (progress, says)
    assert good.images < host.images


@pytest.mark.parametrize("others", [{}, {"web.service": "/usr/lib/systemd/system/web.service"}])
def test_nothing_is_touched_where_a_name_is_taken(others: dict[str, str]) -> None:
    host = Host(others=others)
    if not others:
        deployed(host, spec(OTHER))
        host.files = {path.replace("other.c", "web.c"): text for path, text in host.files.items()}
    before = dict(host.files)
    with pytest.raises(ClusterError, match="already") as refused:
        now(HostDesk(work(host)).begin(NODE, DeployHosted(app=spec(ONE))))
    assert "nothing of 1.0.0 was put there" in refused.value.next_action
    assert host.files == before


def test_it_is_taken_away_and_nothing_is_left() -> None:
    host, do = Host(), RetireHosted(app=spec(ONE), keeps_data=False)
    deployed(host, spec(ONE))
    desk = HostDesk(work(host))
    assert now(desk.look(NODE, do)).progress is Progress.NOT_BEGUN
    assert now(desk.begin(NODE, do)) == "begun"
    gone = now(desk.look(NODE, do))
    assert (gone.progress, gone.evidence) == (Progress.DONE, {"application": "web", "left": "nothing"})
    assert (host.files, host.images) == ({}, set())
    assert now(desk.begin(NODE, do)) == "nothing of it is there"


def test_what_is_left_is_not_done() -> None:
    host, do = Host(), RetireHosted(app=spec(ONE), keeps_data=False)
    deployed(host, spec(ONE))
    host.files = {path: text for path, text in host.files.items() if path == UNIT}
    left = now(HostDesk(work(host)).look(NODE, do))
    assert (left.progress, left.words[:37]) == (Progress.AT_WORK, "still there: image 10.77.0.1:5000/app")


@asynccontextmanager
async def watched(
    folder: Path, host: Host, *good: HostedSpec, port: int = 80
) -> AsyncIterator[tuple[HostWatch, Memory]]:
    log = Log(folder / "records.db", SystemClock())
    memory = Memory(log)
    memory.open()
    running = tuple(Hosted(app=one, since=1.0) for one in good)
    there = ContainerHost(set=PREPARE.set, registry=REGISTRY, applications=running)
    memory.world.machines[NODE] = replace(installed(NODE), host=there)
    try:
        yield HostWatch(memory, work(host, port), Clock()), memory
    finally:
        log.close()


def looked(folder: Path, host: Host, *good: HostedSpec, times: int, port: int = 80) -> list[str]:
    """What is told of so many looks."""

    async def scene() -> list[str]:
        async with watched(folder, host, *good, port=port) as (watch, memory):
            for _ in range(times):
                await watch.look(NODE)
            entries = await memory.read(after=0, machine=NODE, limit=100)
            return [entry.record.text for entry in entries if isinstance(entry.record, Noted)]

    return now(scene())


def test_what_is_as_it_was_left_is_left_alone(tmp_path: Path) -> None:
    host = Host()
    deployed(host, spec(ONE))
    host.begun.clear()
    assert looked(tmp_path, host, spec(ONE), times=4) == []
    assert host.begun == []


def test_a_version_that_did_not_become_well_gives_way(tmp_path: Path) -> None:
    host = Host()
    deployed(host, spec(ONE))
    host.active = "failed"
    deployed(host, spec(TWO))
    host.active = "active"
    assert looked(tmp_path, host, spec(ONE), times=3) == ["web: back to 1.0.0 from 1.1.0, which did not become well"]
    assert ONE.images[0].digest in host.files[UNIT]
    assert host.images == {f"{REGISTRY}/apps/web@{ONE.images[0].digest}"}


def test_one_that_never_was_well_is_taken_away(tmp_path: Path) -> None:
    host = Host(active="failed")
    deployed(host, spec(ONE))
    assert looked(tmp_path, host, times=3) == ["web: 1.0.0 is taken away again, for it never became well"]
    assert (host.files, host.images) == ({}, set())


def test_an_account_that_somebody_removed_is_made_anew(tmp_path: Path) -> None:
    host = Host()
    deployed(host, spec(ONE))
    del host.files[f"{engine.STATE}/web.json"]
    assert looked(tmp_path, host, spec(ONE), times=2) == ["web: back to 1.0.0: it had been removed"]
    assert f"{engine.STATE}/web.json" in host.files


@pytest.mark.parametrize("heals", [True, False])
def test_what_others_change_is_changed_back_or_told(tmp_path: Path, heals: bool) -> None:
    host, good = Host(), spec(ONE, heals=heals)
    deployed(host, good)
    left, host.files[UNIT] = host.files[UNIT], "[Container]\nImage=evil\n"
    (told,) = looked(tmp_path, host, good, times=5)[:1]
    words = "was not as it was left, and is mended" if heals else "was changed by somebody"
    assert told == f"web: {words}: web.container is another"
    assert (host.files[UNIT] == left) is heals


def test_a_host_that_is_just_starting_is_not_one_that_was_changed(tmp_path: Path) -> None:
    host = Host()
    deployed(host, spec(ONE))
    host.services["web.service"] = "inactive"
    host.begun.clear()
    assert looked(tmp_path, host, spec(ONE), times=1) == []
    assert host.begun == []


def test_what_stays_unwell_is_told_once(tmp_path: Path) -> None:
    host = Host()
    deployed(host, spec(ONE))
    told = looked(tmp_path, host, spec(ONE), times=6, port=1)
    assert told == ["web: is not well: nobody listens"]


def test_what_cannot_be_mended_is_told_once_and_tried_again(tmp_path: Path) -> None:
    host = Host()
    deployed(host, spec(ONE))
    host.files[UNIT], host.broken = "", "podman: no space left on device"
    host.begun.clear()
    told = looked(tmp_path, host, spec(ONE), times=6)
    assert told == ["web: cannot be mended: podman: no space left on device"]
    assert host.begun == ["deploy-web"] * 3


def test_what_is_at_work_is_waited_for(tmp_path: Path) -> None:
    host = Host()
    deployed(host, spec(ONE))
    deployed(host, spec(TWO))
    host.stuck = True
    host.begun.clear()
    assert looked(tmp_path, host, spec(ONE), times=3) == []
    assert host.begun == []


def test_a_host_that_does_not_answer_is_no_reason_for_anything(tmp_path: Path) -> None:
    host = Host()
    deployed(host, spec(ONE))
    host.down = True
    with pytest.raises(UnreachableError):
        looked(tmp_path, host, spec(ONE), times=1)


def test_a_machine_that_is_no_host_any_more_is_not_asked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with watched(tmp_path, Host(down=True), spec(ONE)) as (watch, memory):
            state = memory.world.machines[NODE]
            memory.world.machines[NODE] = replace(state, host=None)
            await watch.look(NODE)

    now(scene())

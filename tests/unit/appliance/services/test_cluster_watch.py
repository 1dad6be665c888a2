"""Who stands by a cluster: what its kubelets ask for is decided, told once, and nothing ends the watch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.conductor.memory import Memory
from appliance.errors import UnreachableError
from appliance.kubernetes.csr import Request
from appliance.model.cluster import Member, NodeRole
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_watch import ClusterWatch
from appliance.store.log import Log
from appliance.store.records import ClusterNoted
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng
from tests.unit.appliance.kubernetes.test_csr import JOIN, SERVE, address, pem
from tests.unit.appliance.services.cluster_scene import ACCESS, SPEC, A, B, C, Clock, Cluster, installed, listed


@asynccontextmanager
async def watched(folder: Path, cluster: Cluster) -> AsyncIterator[tuple[ClusterWatch, Memory]]:
    """node-0 is a member, at the address that is its own."""
    log = Log(folder / "records.db", SystemClock())
    memory = Memory(log)
    memory.open()
    member = Member(cluster=SPEC, role=NodeRole.CONTROL_PLANE, since=1.0)
    memory.world.machines[A] = replace(installed(A), member=member)
    keys = ClusterKeys(SecretFile(folder / "clusters.vault", SystemRng()))
    keys.keep(SPEC.name, ACCESS)
    try:
        yield ClusterWatch(memory, keys, cluster.connect, "lab.test", Clock()), memory
    finally:
        log.close()


async def told(memory: Memory) -> list[ClusterNoted]:
    entries = await memory.read(after=0, machine=None, limit=100)
    return [entry.record for entry in entries if isinstance(entry.record, ClusterNoted)]


def test_each_request_is_decided_and_told(tmp_path: Path) -> None:
    own = replace(SERVE, pem=pem("system:node:node-0", names=(address("10.77.0.10"),)))
    others = replace(JOIN, name="csr-3", signer="example.org/people")
    cluster = Cluster(asked=(own, JOIN, others))

    async def scene() -> list[ClusterNoted]:
        async with watched(tmp_path, cluster) as (watch, memory):
            await watch.look(SPEC)
            return await told(memory)

    notes = asyncio.run(scene())
    assert [name for name, _ in cluster.decided] == ["csr-2", "csr-1"]
    assert [note.refused for note in notes] == [False, True]
    assert notes[1].text == (
        "prod: certificate csr-1 of system:bootstrap:abcdef refused: no machine of this cluster is called node-1"
    )


def test_a_cluster_that_does_not_answer_is_told_once_for_each_reason(tmp_path: Path) -> None:
    cluster = Cluster(down=UnreachableError("no answer"))

    async def scene() -> list[ClusterNoted]:
        async with watched(tmp_path, cluster) as (watch, memory):
            for _ in range(3):
                await watch.look(SPEC)
            cluster.down = UnreachableError("another reason")
            await watch.look(SPEC)
            cluster.down = None
            await watch.look(SPEC)
            cluster.down = UnreachableError("no answer")
            await watch.look(SPEC)
            return await told(memory)

    texts = [note.text.removeprefix("prod cannot be watched: ") for note in asyncio.run(scene())]
    assert texts == ["no answer", "another reason", "no answer"]


def test_who_was_taken_out_is_turned_away_and_nobody_else(tmp_path: Path) -> None:
    """Not a machine whose step is still at work, nor a node that a person let in."""
    guest = replace(listed(C), name="guest")
    cluster = Cluster(listed=(listed(A), listed(B), listed(C), guest))

    async def scene() -> list[ClusterNoted]:
        async with watched(tmp_path, cluster) as (watch, memory):
            memory.world.machines[B] = replace(installed(B), left=SPEC.name)
            memory.world.machines[C] = installed(C)
            await watch.look(SPEC)
            return await told(memory)

    (note,) = asyncio.run(scene())
    assert [one.name for one in cluster.listed] == [A, C, "guest"]
    assert (note.text, note.refused) == (
        "prod: node-1 came back and is no member any more: removed again; wipe it",
        True,
    )


def test_nothing_ends_the_watch(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Not even what nobody has thought of."""

    class Odd(Cluster):
        async def requests(self) -> tuple[Request, ...]:
            looks.append(None)
            if len(looks) == 3:
                thrice.set()
            raise ZeroDivisionError

    looks, thrice = list[None](), asyncio.Event()

    async def scene() -> None:
        async with watched(tmp_path, Odd()) as (watch, _memory):
            work = asyncio.create_task(watch.run())
            await thrice.wait()
            assert not work.done()
            work.cancel()

    asyncio.run(scene())
    assert "the cluster prod could not be looked at" in caplog.text

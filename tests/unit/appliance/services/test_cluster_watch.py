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
from appliance.kubernetes.objects import Node
from appliance.model.cluster import Member, NodeRole
from appliance.model.ids import MachineName
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.cluster_looks import ClusterLook, ClusterLooks, change_of
from appliance.services.cluster_watch import ClusterWatch
from appliance.store.log import Log
from appliance.store.records import ClusterNoted
from appliance.store.secrets import SecretFile
from appliance.system import SystemClock, SystemRng
from tests.unit.appliance.kubernetes.test_csr import JOIN, SERVE, address, pem
from tests.unit.appliance.services.cluster_scene import ACCESS, SPEC, A, B, C, Clock, Cluster, installed, listed


@asynccontextmanager
async def watched(
    folder: Path, cluster: Cluster, looks: ClusterLooks | None = None, clock: Clock | None = None
) -> AsyncIterator[tuple[ClusterWatch, Memory]]:
    """node-0 is a member, at the address that is its own."""
    log = Log(folder / "records.db", SystemClock())
    memory = Memory(log)
    memory.open()
    member = Member(cluster=SPEC, role=NodeRole.CONTROL_PLANE, since=1.0)
    memory.world.machines[A] = replace(installed(A), member=member)
    keys = ClusterKeys(SecretFile(folder / "clusters.vault", SystemRng()))
    keys.keep(SPEC.name, ACCESS)
    try:
        looks, clock = looks or ClusterLooks(), clock or Clock()
        yield ClusterWatch(memory, keys, cluster.connect, looks, "lab.test", clock), memory
    finally:
        log.close()


class Turned(Clock):
    at = 1000.0

    def now(self) -> float:
        return self.at


def node(name: MachineName, *, ready: bool = True) -> Node:
    return Node(
        name=name,
        version="v1.20.2",
        ready=ready,
        why="" if ready else "the kubelet is silent",
        control_plane=name == A,
        schedulable=True,
        addresses=(),
        pods=None,
    )


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
    assert texts == ["no answer", "another reason", "prod answers; 0 of 0 nodes are ready", "no answer"]


def test_the_last_look_is_kept(tmp_path: Path) -> None:
    """What a cluster said stays what it last said, with its time, while it does not answer."""
    cluster, looks, clock = Cluster(listed=(node(A), node(B, ready=False))), ClusterLooks(), Turned()

    async def scene() -> list[ClusterNoted]:
        async with watched(tmp_path, cluster, looks, clock) as (watch, memory):
            await watch.look(SPEC)
            clock.at, cluster.lacks = 1005.0, "[-]etcd failed"
            await watch.look(SPEC)
            assert (looks.of(SPEC.name).lacks, looks.of(SPEC.name).looked) == ("[-]etcd failed", 1005.0)
            clock.at, cluster.lacks, cluster.listed = 1010.0, "", (node(A), node(B))
            await watch.look(SPEC)
            clock.at, cluster.down = 1015.0, UnreachableError("no answer", evidence="\x1b[1mrefused")
            await watch.look(SPEC)
            clock.at = 1017.0
            await watch.look(SPEC)
            return await told(memory)

    notes = [note.text for note in asyncio.run(scene())]
    last = looks.of(SPEC.name)
    assert (last.looked, last.silent_since, last.trouble, last.evidence) == (1010.0, 1015.0, "no answer", "refused")
    assert [one.name for one in last.nodes] == [A, B]
    assert notes == [
        "prod answers; 1 of 2 nodes are ready, not node-1",
        "prod answers and is not ready: [-]etcd failed",
        "prod answers; 2 of 2 nodes are ready",
        "prod cannot be watched: no answer",
    ]


def test_a_look_that_is_well_tells_nothing_at_first(tmp_path: Path) -> None:
    async def scene() -> list[ClusterNoted]:
        async with watched(tmp_path, Cluster(listed=(node(A),))) as (watch, memory):
            await watch.look(SPEC)
            return await told(memory)

    assert asyncio.run(scene()) == []


def test_many_nodes_are_told_in_short() -> None:
    before, names = ClusterLook(cluster=SPEC.name), [MachineName(f"node-{number}") for number in range(9)]
    text = change_of(before, before.answered("", tuple(node(name, ready=False) for name in names), 1.0))
    assert text.endswith("0 of 9 nodes are ready, not node-0, node-1, node-2, node-3, node-4 and 4 more")


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

    looks, thrice, shown = list[None](), asyncio.Event(), ClusterLooks()

    async def scene() -> None:
        async with watched(tmp_path, Odd(), shown) as (watch, _memory):
            work = asyncio.create_task(watch.run())
            await thrice.wait()
            assert not work.done()
            work.cancel()

    asyncio.run(scene())
    assert "the cluster prod could not be looked at" in caplog.text
    assert shown.of(SPEC.name).trouble == "the appliance could not look at it"

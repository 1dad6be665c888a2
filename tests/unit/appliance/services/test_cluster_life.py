"""Nodes leave, alive and dead; a cluster is backed up, restored, upgraded and ended: what is asked of whom, in which
order, and what is believed."""

import asyncio
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.conductor.decision import Progress
from appliance.errors import NotFoundError, UnreachableError, UsageError
from appliance.kubernetes.drain import Pod
from appliance.model.cluster import (
    BackUpCluster,
    DrainNode,
    EndCluster,
    NodeRole,
    RemoveNode,
    ResetNode,
    RestoreCluster,
    UpgradeNode,
)
from tests.unit.appliance.services.cluster_scene import ACCESS, SPEC, A, B, C, Scene, founded, listed, make_scene, now

DRAIN, RESET, REMOVE = DrainNode(cluster=SPEC, node=B), ResetNode(cluster=SPEC), RemoveNode(cluster=SPEC, node=B)
BACK_UP = BackUpCluster(cluster=SPEC)
WEB = Pod(namespace="default", name="web-1", owner="ReplicaSet", static=False, ended=False, leaving=False)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    made = make_scene(tmp_path)
    founded(made)
    made.cluster.listed = (listed(A), listed(B), listed(C))
    made.nodes.members = {"a1": "node-0", "b2": "node-1"}
    made.planes.append(B)
    made.nodes.fed.clear()
    return made


def test_a_node_takes_nothing_new_and_what_runs_there_goes(scene: Scene) -> None:
    daemon, static = replace(WEB, name="proxy", owner="DaemonSet"), replace(WEB, name="etcd", static=True)
    scene.cluster.pods = (WEB, daemon, static, replace(WEB, name="job", ended=True))
    assert scene.look(B, DRAIN).progress is Progress.NOT_BEGUN
    assert scene.begin(B, DRAIN) == "cordoned"
    assert [one.schedulable for one in scene.cluster.listed] == [True, False, True]
    assert scene.look(B, DRAIN).progress is Progress.AT_WORK
    assert scene.look(B, DRAIN).progress is Progress.DONE
    assert [pod.name for pod in scene.cluster.pods] == ["proxy", "etcd", "job"]


def test_who_may_not_go_yet_is_named_and_asked_again(scene: Scene) -> None:
    scene.cluster.pods, scene.cluster.refusals = (WEB,), {"web-1": "Cannot evict pod: disruption budget store"}
    scene.begin(B, DRAIN)
    for _ in range(2):
        sight = scene.look(B, DRAIN)
        assert (sight.progress, sight.words) == (
            Progress.AT_WORK,
            "still there: default/web-1; default/web-1 may not go: Cannot evict pod: disruption budget store",
        )
    scene.cluster.refusals = {}
    scene.look(B, DRAIN)
    assert scene.look(B, DRAIN).progress is Progress.DONE


def test_a_node_that_does_not_answer_has_nothing_left_to_drain(scene: Scene) -> None:
    scene.cluster.listed = (listed(A), replace(listed(B), ready=False, why="Kubelet stopped posting node status."))
    sight = scene.look(B, DRAIN)
    assert (sight.progress, sight.evidence["nothing could be moved"]) == (
        Progress.DONE,
        "Kubelet stopped posting node status.",
    )
    assert scene.look(C, DrainNode(cluster=SPEC, node=C)).progress is Progress.DONE


def test_a_node_that_leaves_is_told_so_and_asked(scene: Scene) -> None:
    assert scene.begin(B, RESET) == "begun"
    text = scene.nodes.texts()
    assert "member remove" in text
    assert "kubeadm reset phase cleanup-node" in text
    assert " no\n" in text
    scene.nodes.says[B] = scene.mark()
    assert scene.look(B, RESET).progress is Progress.DONE
    assert scene.look(B, ResetNode(cluster=SPEC, last=True)).progress is not Progress.DONE, "another order"


def test_a_dead_one_is_taken_out_of_etcd_by_another_and_out_of_the_cluster(scene: Scene) -> None:
    scene.nodes.dead = {B}
    assert scene.look(A, REMOVE).progress is Progress.NOT_BEGUN
    assert scene.begin(A, REMOVE) == "removed"
    assert scene.nodes.members == {"a1": "node-0"}
    assert [one.name for one in scene.cluster.listed] == [A, C]
    assert scene.led.to[-1] == (A,)
    assert scene.look(A, REMOVE).progress is Progress.DONE


def test_a_worker_is_in_no_etcd(scene: Scene) -> None:
    worker = RemoveNode(cluster=SPEC, node=C)
    scene.begin(A, worker)
    assert scene.nodes.members == {"a1": "node-0", "b2": "node-1"}
    assert scene.look(A, worker).progress is Progress.DONE


def test_nobody_is_removed_while_no_control_plane_can_be_entered(scene: Scene) -> None:
    scene.nodes.dead = {A, B}
    with pytest.raises(UnreachableError, match="no control plane of prod can be entered"):
        scene.begin(A, REMOVE)
    assert [one.name for one in scene.cluster.listed] == [A, B, C], "etcd first: who is left may be too few"


def test_an_ended_cluster_leaves_no_access(scene: Scene) -> None:
    end = EndCluster(cluster=SPEC)
    assert scene.look(A, end).progress is Progress.NOT_BEGUN
    scene.begin(A, end)
    assert scene.keys.access(SPEC.name) is None
    assert scene.led.to[-1] == ()
    assert scene.look(A, end).progress is Progress.DONE


def handed_over(**members: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


WHOLE = handed_over(**{"var/lib/innervate/etcd/snapshot.db": b"s" * 2080, "etc/kubernetes/pki/ca.key": b"kanarie-ca"})


async def taken(scene: Scene) -> None:
    await scene.desk.begin(A, BACK_UP)
    await scene.backups._works[SPEC.name]


def test_a_backup_is_sealed_and_read_back(scene: Scene, tmp_path: Path) -> None:
    scene.nodes.handed_over = WHOLE
    assert scene.look(A, BACK_UP).progress is Progress.NOT_BEGUN
    now(taken(scene))
    sight = scene.look(A, BACK_UP)
    assert sight.progress is Progress.DONE
    assert (sight.evidence["revision"], sight.evidence["bytes"]) == ("4321", "2048")
    (sealed,) = (tmp_path / "backups").rglob("*.sealed")
    assert b"kanarie" not in sealed.read_bytes()
    assert sealed.stat().st_mode & 0o777 == 0o600
    assert scene.told == ["prod backed up at revision 4321, 2048 bytes"]
    assert scene.look(A, BACK_UP).progress is Progress.NOT_BEGUN, "the next step takes one of its own"


def test_a_backup_of_the_day_is_no_backup_of_a_step(scene: Scene) -> None:
    """The cluster may have learnt more since. That of the step waits until the other one is whole."""
    scene.nodes.handed_over = WHOLE
    now(both(scene))
    assert len(scene.told) == 2
    assert scene.look(A, BACK_UP).progress is Progress.DONE


async def both(scene: Scene) -> None:
    daily = asyncio.create_task(scene.backups._daily(SPEC))
    await asyncio.sleep(0)
    await taken(scene)
    assert daily.done()


@pytest.mark.parametrize(
    "content",
    [
        handed_over(**{"var/lib/innervate/etcd/snapshot.db": b"s" * 2080}),
        handed_over(**{"etc/kubernetes/pki/ca.key": b"k", "var/lib/innervate/etcd/snapshot.db": b"short"}),
    ],
    ids=["without keys", "cut short"],
)
def test_what_does_not_hold_everything_is_no_backup(scene: Scene, content: bytes) -> None:
    scene.nodes.handed_over = content
    now(tried(scene))
    sight = scene.look(A, BACK_UP)
    assert sight.problem is not None
    assert sight.problem.message == "a backup does not hold what it should"
    assert scene.backups.latest(SPEC.name) is None


async def tried(scene: Scene) -> None:
    with pytest.raises(Exception, match="does not hold what it should"):
        await taken(scene)


def test_a_changed_backup_is_not_restored(scene: Scene, tmp_path: Path) -> None:
    scene.nodes.handed_over = WHOLE
    now(taken(scene))
    backup = scene.backups.latest(SPEC.name)
    assert backup is not None
    (sealed,) = (tmp_path / "backups").rglob("*.sealed")
    whole = bytearray(sealed.read_bytes())
    whole[-40] ^= 1
    sealed.write_bytes(whole)
    with pytest.raises(UsageError, match="cannot be opened"):
        scene.begin(A, RestoreCluster(cluster=SPEC, backup=backup.name))
    assert scene.nodes.fed[-1][2] == "", "nothing was begun"


def test_a_cluster_comes_back_on_one_node_and_the_others_follow(scene: Scene) -> None:
    scene.nodes.handed_over = WHOLE
    now(taken(scene))
    backup = scene.backups.latest(SPEC.name)
    assert backup is not None
    restore = RestoreCluster(cluster=SPEC, backup=backup.name)
    scene.begin(A, restore)
    assert scene.nodes.given == WHOLE
    assert "snapshot restore" in scene.nodes.texts()
    assert scene.led.to[-1] == (A,)
    scene.nodes.says[A] = scene.mark()
    scene.nodes.dead = {C}
    scene.cluster.listed = (listed(A), replace(listed(B), control_plane=True), listed(C))
    assert scene.look(A, restore).progress is Progress.DONE
    assert [one.name for one in scene.cluster.listed] == [A, C]
    assert scene.nodes.fed[-1][1] == ("systemctl", "restart", "kubelet.service"), "of the worker"
    with pytest.raises(NotFoundError, match="there is no backup 'another'"):
        scene.begin(A, RestoreCluster(cluster=SPEC, backup="another"))


def test_an_upgraded_node_takes_pods_again_once_the_cluster_says_so(scene: Scene) -> None:
    newer = replace(SPEC, set=replace(SPEC.set, version="v1.21.3"))
    do = UpgradeNode(cluster=newer, role=NodeRole.CONTROL_PLANE, leads=True)
    scene.begin(B, do)
    assert scene.supplies.asked[-1] == newer.set
    scene.nodes.says[B] = scene.mark()
    scene.cluster.listed = (listed(A), replace(listed(B), schedulable=False), listed(C))
    assert scene.look(B, do).words == "node-1 runs v1.20.2"
    scene.cluster.listed = (listed(A), replace(listed(B), schedulable=False, version="v1.21.3"), listed(C))
    scene.keys.keep(SPEC.name, replace(ACCESS, certificate="of the year before"))
    scene.cluster.access = scene.keys.access(SPEC.name)
    assert scene.look(B, do).progress is Progress.DONE
    assert scene.cluster.listed[1].schedulable
    assert scene.keys.access(SPEC.name) == ACCESS, "kubeadm gave it anew"

"""What is asked of machines and controllers, and what is made of the answers. Real ones: tests/cluster."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.conductor.decision import ClusterSight, Progress
from appliance.errors import ShellError, UnreachableError
from appliance.model.cluster import ClusterName, SetRef
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.slurm import (
    ConfirmSlurm,
    DrainSlurm,
    JoinSlurm,
    LeaveSlurm,
    PrepareSlurm,
    ServeSlurm,
    SlurmAction,
    SlurmRole,
)
from appliance.nodes.job import Job
from appliance.ports import Sink
from appliance.services.cluster_keys import ClusterKeys
from appliance.services.slurm import SlurmDesk, digest
from appliance.slurm import engine
from appliance.slurm.engine import Slurm
from appliance.store.secrets import SecretFile
from appliance.system import SystemRng
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile
from tests.unit.appliance.slurm.test_conf import HOME, SPEC

T = TypeVar("T")
HEAD, GPU, CPU = (MachineName(name) for name in ("head-0", "gpu-0", "cpu-0"))
KEY = "ab" * 64
ROLES = ("package", "slurmctld", "slurmd")
SET = ArtifactSet(
    engine=Engine.SLURM,
    version="24.11.5-4",
    arch="amd64",
    provenance=Provenance.GENUINE,
    files=tuple(SetFile(name=f"{role}.deb", role=role, size=1, sha256=f"{at}" * 64) for at, role in enumerate(ROLES)),
    images=(),
)
PREPARE = PrepareSlurm(home=HOME, role=SlurmRole.WORKER)
SERVE, CONFIRM = ServeSlurm(spec=SPEC), ConfirmSlurm(spec=SPEC)
JOIN, DRAIN = JoinSlurm(home=HOME, devices=("/dev/nvidia0",)), DrainSlurm(home=HOME, node=GPU)
LEAVE = LeaveSlurm(home=HOME)
UP = "Slurmctld(primary) at head-0 is UP\n"
NODES = {GPU: "10.77.0.20", CPU: "10.77.0.21"}


def shown(states: dict[MachineName, str] | None = None, version: str = "24.11.5") -> str:
    wanted = {GPU: "IDLE", CPU: "IDLE"} if states is None else states
    return "".join(
        f"NodeName={name} NodeAddr={NODES[name]} Version={version} State={state} ThreadsPerCore=1\n"
        for name, state in wanted.items()
    )


def ran(*names: MachineName, conf: str = digest(SPEC)) -> str:
    return "".join(f"{name} {conf}  -\n" for name in names)


@dataclass
class Machines:
    """Jobs are as `progress` says; whatever a command begins with prints what `says` has for it, or fails."""

    progress: Progress = Progress.DONE
    says: dict[str, str] = field(default_factory=dict)
    fed: list[tuple[str, ...]] = field(default_factory=list)
    started: list[Job] = field(default_factory=list)

    async def job(self, machine: MachineName, job: Job) -> ClusterSight:
        return ClusterSight(progress=self.progress, words=f"{machine}: {job.name}")

    async def start(self, machine: MachineName, job: Job) -> str:
        self.started.append(job)
        return "begun"

    async def feed(self, machine: MachineName, argv: tuple[str, ...], text: Secret) -> str:
        self.fed.append(argv)
        return ""

    async def pull(self, machine: MachineName, argv: tuple[str, ...], out: Sink) -> None:
        said = next((text for word, text in self.says.items() if word in " ".join(argv)), None)
        if said is None:
            raise ShellError(f"{argv[0]} ended with status 1", next_action="look")
        out.write(said.encode())

    def address(self, machine: MachineName) -> IPv4Address:
        return IPv4Address(NODES[machine])


@dataclass
class Supplies:
    asked: list[str] = field(default_factory=list)

    async def ready(self, ref: SetRef) -> None:
        self.asked.append(ref.name)


def now(work: Coroutine[object, object, T]) -> T:
    return asyncio.run(work)


def desk(machines: Machines, supplies: Supplies | None = None) -> SlurmDesk:
    return SlurmDesk(Slurm(lambda _: SET), supplies or Supplies(), lambda _name, _number: Secret(KEY), machines)


WELL = {
    "scontrol ping": UP,
    "show nodes": shown(),
    "/etc/slurm/slurm.conf": f"{digest(SPEC)}  x\n",
    "srun": ran(GPU, CPU),
    "is-active": "",
}


@pytest.mark.parametrize("do", [PREPARE, SERVE, JOIN, LEAVE], ids=lambda do: do.action)
@pytest.mark.parametrize("progress", [Progress.NOT_BEGUN, Progress.AT_WORK, Progress.FAILED])
def test_a_step_is_no_further_than_its_job(do: SlurmAction, progress: Progress) -> None:
    assert now(desk(Machines(progress=progress)).look(GPU, do)).progress is progress


@pytest.mark.parametrize(
    ("do", "at", "evidence"),
    [
        (SERVE, HEAD, {"nodes": "2", "slurm.conf": digest(SPEC)[:12]}),
        (JOIN, GPU, {"node": "gpu-0", "version": "24.11.5", "address": "10.77.0.20"}),
        (LEAVE, GPU, {"key": "gone", "daemons": "none"}),
        (CONFIRM, HEAD, {"answered": "gpu-0, cpu-0", "slurm.conf": digest(SPEC)[:12]}),
    ],
    ids=["serve", "join", "leave", "confirm"],
)
def test_what_is_so_is_done(do: SlurmAction, at: MachineName, evidence: dict[str, str]) -> None:
    sight = now(desk(Machines(says=dict(WELL))).look(at, do))
    assert (sight.progress, dict(sight.evidence)) == (Progress.DONE, evidence)


@pytest.mark.parametrize(
    ("do", "at", "says", "progress", "words"),
    [
        pytest.param(
            SERVE, HEAD, {"/etc/slurm/slurm.conf": "ff  x"}, Progress.NOT_BEGUN, "somebody has changed", id="edited"
        ),
        pytest.param(
            SERVE, HEAD, {"show nodes": shown({GPU: "IDLE"})}, Progress.AT_WORK, "agree yet about cpu-0", id="old list"
        ),
        pytest.param(
            SERVE, HEAD, {"scontrol ping": UP.replace("UP", "DOWN")}, Progress.AT_WORK, "not answer yet", id="starting"
        ),
        pytest.param(JOIN, GPU, {"show nodes": shown({CPU: "IDLE"})}, Progress.AT_WORK, "has no node", id="no line"),
        pytest.param(
            JOIN, GPU, {"show nodes": shown({GPU: "IDLE+DRAIN"})}, Progress.AT_WORK, "gpu-0 is drain", id="drained"
        ),
        pytest.param(JOIN, CPU, {"show nodes": shown(version="23.2")}, Progress.AT_WORK, "runs 23.2", id="old slurmd"),
        pytest.param(
            JOIN,
            CPU,
            {"show nodes": shown().replace("10.77.0.21", "10.77.0.9")},
            Progress.AT_WORK,
            "at 10.77.0.9, we at 10.77.0.21",
            id="a stranger",
        ),
        pytest.param(LEAVE, GPU, {"is-active": "munge\n"}, Progress.NOT_BEGUN, "again: munge", id="came back"),
        pytest.param(
            CONFIRM, HEAD, {"show nodes": shown({GPU: "DOWN*", CPU: "IDLE"})}, Progress.AT_WORK, "is down", id="down"
        ),
        pytest.param(
            CONFIRM, HEAD, {"show nodes": shown({CPU: "IDLE"})}, Progress.AT_WORK, "gpu-0 is not in", id="missing"
        ),
        pytest.param(CONFIRM, HEAD, {"srun": ran(CPU)}, Progress.AT_WORK, "no job answered from gpu-0", id="mute"),
        pytest.param(
            CONFIRM, HEAD, {"srun": ran(GPU, CPU, conf="0" * 64)}, Progress.AT_WORK, "another slurm.conf", id="differs"
        ),
        pytest.param(DRAIN, HEAD, {"show nodes": shown()}, Progress.NOT_BEGUN, "gpu-0 takes jobs", id="to be drained"),
        pytest.param(
            DRAIN, HEAD, {"show nodes": shown({GPU: "MIXED+DRAIN"})}, Progress.AT_WORK, "jobs run", id="its last job"
        ),
        pytest.param(
            DRAIN, HEAD, {"show nodes": shown({GPU: "IDLE+DRAIN"})}, Progress.DONE, "drained", id="has no job"
        ),
        pytest.param(DRAIN, HEAD, {"show nodes": shown({CPU: "IDLE"})}, Progress.DONE, "drained", id="gone already"),
    ],
)
def test_what_is_not_so_yet(
    do: SlurmAction, at: MachineName, says: dict[str, str], progress: Progress, words: str
) -> None:
    sight = now(desk(Machines(says={**WELL, **says})).look(at, do))
    assert sight.progress is progress
    assert words in sight.words


def test_who_is_busy_is_asked_for_no_job_and_who_is_dead_for_nothing() -> None:
    busy = Machines(says={**WELL, "show nodes": shown({GPU: "ALLOCATED", CPU: "IDLE"}), "srun": ran(CPU)})
    sight = now(desk(busy).look(HEAD, CONFIRM))
    assert (sight.progress, sight.evidence["busy"]) == (Progress.DONE, "gpu-0")
    dead = Machines(says={**WELL, "show nodes": shown({GPU: "DOWN*", CPU: "IDLE"}), "srun": ran(CPU)})
    assert now(desk(dead).look(HEAD, replace(CONFIRM, without=(GPU,)))).progress is Progress.DONE


def test_slurm_that_does_not_answer_may_do_so_later() -> None:
    """A look that failed is not one that found nothing."""
    with pytest.raises(UnreachableError, match="Slurm does not answer on head-0"):
        now(desk(Machines(says={"scontrol ping": UP})).look(HEAD, CONFIRM))


def test_work_is_begun_with_what_it_needs() -> None:
    machines, supplies = Machines(), Supplies()
    whole = desk(machines, supplies)
    for at, do in ((GPU, PREPARE), (HEAD, SERVE), (GPU, JOIN), (GPU, LEAVE)):
        now(whole.begin(at, do))
    assert supplies.asked == [HOME.set.name]
    prepare, serve, join, leave = machines.started
    assert [one.sha256[0] for one in prepare.downloads] == ["0", "2"], "what all need, and slurmd"
    keys = [file for job in (serve, join) for file in job.files if file.path == engine.KEY]
    assert [(str(file.text), file.mode) for file in keys] == [("***", "0400")] * 2
    for job in (serve, join):  # what carries the key is removed by its own last act
        assert job.acts[-1].argv == ("rm", "-f", f"/run/innervate/jobs/{job.name}/run")
    assert "/dev/nvidia0" in join.acts[0].argv
    assert any("shred" in word for word in leave.acts[0].argv)
    now(whole.begin(HEAD, DRAIN))
    assert machines.fed == [engine.drain(GPU)]


def test_differences_are_told_a_sentence_each() -> None:
    says = {**WELL, "/run/slurm": f"{'0' * 64}  x", "show nodes": shown({GPU: "IDLE", CPU: "DOWN*"})}
    assert now(desk(Machines(says=says)).differences(SPEC)) == (
        "gpu-0 has another slurm.conf than the cluster",
        "cpu-0 is down not_responding",
    )
    same = {**WELL, "/run/slurm": f"{digest(SPEC)}  x"}
    assert now(desk(Machines(says=same)).differences(SPEC)) == ()
    mute = dict(WELL)  # a node that cannot be entered is not one that differs
    assert now(desk(Machines(says=mute)).differences(SPEC)) == ()
    edited = {**same, "/etc/slurm/slurm.conf": "0"}
    (told,) = now(desk(Machines(says=edited)).differences(SPEC))
    assert told == "somebody has changed /etc/slurm/slurm.conf on head-0"


def test_a_key_is_made_once_and_outlives_the_daemon(tmp_path: Path) -> None:
    name, rng = ClusterName("hpc"), SystemRng()
    file = SecretFile(tmp_path / "clusters.vault", rng)
    first, second = (ClusterKeys(file).numbered(name, number, rng).reveal() for number in (1, 2))
    assert len({first, second, ClusterKeys(file).numbered(ClusterName("other"), 1, rng).reveal()}) == 3
    assert ClusterKeys(file).numbered(name, 1, rng).reveal() == first
    assert len(first) == 128
    file.close()

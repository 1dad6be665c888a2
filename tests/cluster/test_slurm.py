"""A Slurm cluster as a site program states it, by the conductor: led, joined, confirmed, changed, and left."""

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.conductor.runs import RunStatus
from appliance.inventory.gpus import NVIDIA
from appliance.model.amend import amended
from appliance.model.hardware import Gpu, HardwareFacts
from appliance.model.ids import MachineName, RunId, StepId
from appliance.model.slurm import SlurmRole
from appliance.model.views import RunState
from appliance.plan import Plan
from appliance.scores.slurm import SlurmCluster
from appliance.slurm import conf, words
from appliance.slurm.engine import KEY, NODE_CONF
from appliance.store.records import ClusterNoted
from images.agent.facts import parse_cpuinfo, parse_meminfo
from images.artifact_set import read_set
from tests.cluster.conftest import Artifacts
from tests.cluster.nodes import CommandError, Ground, Node, ground, nodes
from tests.cluster.product import Lent, imported, living, on, serving
from tests.unit.appliance.store.samples import FACTS

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]
HEAD, FIRST, SECOND = MACHINES = nodes("head", "first", "second")
T4 = tuple(Gpu(vendor=NVIDIA, device="1eb8", bus=f"0000:3b:0{at}.0", model="TU104GL [Tesla T4]") for at in range(2))
FAKES = {"/dev/nvidia0": 7, "/dev/nvidia1": 8}
"""Minors of full(4) and random(4), of which jobs have no need: what is kept from a job is kept by number."""


def facts_of(machine: Node) -> HardwareFacts:
    """This machine's, as the agent would read it; one worker has two GPUs beside."""
    cpu = parse_cpuinfo(Path("/proc/cpuinfo").read_text())
    memory = parse_meminfo(Path("/proc/meminfo").read_text())
    sockets = len({line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("physical id")})
    return replace(
        FACTS,
        cores=cpu.cores,
        threads=cpu.threads,
        sockets=sockets or 1,
        memory_bytes=memory,
        gpus=T4 if machine is FIRST else (),
    )


class Place:
    """The ground with three installed machines; what the appliance keeps is in its folder, through all its lives."""

    def __init__(self, made: Ground, lent: Lent, name: str) -> None:
        self.ground, self.lent = made, lent
        self.score = SlurmCluster(cluster="hpc", set=name, controller=("head",), workers=("first", "second"))

    def run(
        self, score: SlurmCluster, facts: Callable[[Node], HardwareFacts] = facts_of
    ) -> tuple[Plan, RunStatus, Plan]:
        """Plans and carries out in one life of the appliance; and what is left to do then."""

        async def whole() -> tuple[Plan, RunStatus, Plan]:
            async with living(self.ground, MACHINES, self.lent, facts=facts) as life:
                plan = life.plan(score)
                ended = await life.ended(await life.apply(plan))
                return plan, ended, life.plan(score)

        return on(self.ground, whole)


@pytest.fixture(scope="module")
def place(slurm_artifacts: Artifacts, tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, lent = tmp_path_factory.mktemp("ground"), Lent()
    (folder / "state/sets").mkdir(parents=True)
    (folder / "shared").mkdir()
    subprocess.run(["cp", "-rl", slurm_artifacts.folder, folder / "state/sets/slurm"], check=True)
    with ExitStack() as stack:
        made = stack.enter_context(ground(folder, tree, MACHINES))
        for machine in MACHINES:
            made.start(machine)
        for path, minor in FAKES.items():
            made.ssh(FIRST, "mknod", "--mode=666", path, "c", "1", str(minor))
        stack.enter_context(serving(made, lent))
        place = Place(made, lent, slurm_artifacts.set.name)
        on(made, lambda: _import(place))
        yield place


async def _import(place: Place) -> None:
    async with living(place.ground, MACHINES, place.lent) as life:
        await imported(life.sets, "slurm")


def orders(ended: RunStatus) -> dict[str, int]:
    return {step: len(one.orders) for step, one in ended.attempts.items()}


def evidence(ended: RunStatus, step: str) -> dict[str, str]:
    result = ended.attempts[StepId(step)].result
    assert result is not None
    return dict(result.evidence)


def test_from_installed_machines_to_a_cluster_though_the_appliance_dies(place: Place) -> None:
    """The machines go on by themselves meanwhile: whoever comes after looks, and orders nothing twice."""
    plan, run = on(place.ground, lambda: _begun(place))
    assert {step.id: step.needs for step in plan.steps} == {
        "slurm.head.prepare-slurm": (),
        "slurm.head.serve-slurm": ("slurm.head.prepare-slurm",),
        "slurm.first.prepare-slurm": (),
        "slurm.first.join-slurm": ("slurm.first.prepare-slurm", "slurm.head.serve-slurm"),
        "slurm.second.prepare-slurm": (),
        "slurm.second.join-slurm": ("slurm.second.prepare-slurm", "slurm.head.serve-slurm"),
        "slurm.head.confirm-slurm": ("slurm.head.serve-slurm", "slurm.first.join-slurm", "slurm.second.join-slurm"),
    }
    ended, after = on(place.ground, lambda: _through(place, run))
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps, "the second time there is nothing to do"
    assert set(orders(ended).values()) == {0, 1}
    assert orders(ended)["slurm.head.confirm-slurm"] == 0
    assert evidence(ended, "slurm.head.confirm-slurm")["answered"] == "first, second"
    said = place.ground.ssh(HEAD, "srun", "--nodes=2", "--ntasks-per-node=1", "--time=1", "hostname")
    assert sorted(said.split()) == ["first", "second"]


async def _begun(place: Place) -> tuple[Plan, RunId]:
    """A life that ends as soon as machines work."""
    async with living(place.ground, MACHINES, place.lent, facts=facts_of) as life:
        plan = life.plan(place.score)
        run = await life.apply(plan)
        await life.begun(run, "prepare-slurm")
        return plan, run


async def _through(place: Place, run: RunId) -> tuple[RunStatus, Plan]:
    async with living(place.ground, MACHINES, place.lent, facts=facts_of) as life:
        ended = await life.ended(run)
        roles = {name: state.slurm.role for name, state in life.memory.world.machines.items() if state.slurm}
        assert roles == {"head": SlurmRole.CONTROLLER, "first": SlurmRole.WORKER, "second": SlurmRole.WORKER}
        return ended, life.plan(place.score)


def test_the_key_is_one_and_nobody_elses(place: Place) -> None:
    shown = [place.ground.ssh(node, "stat", "--format=%a %U %G", KEY).strip() for node in MACHINES]
    assert set(shown) == {"400 munge munge"}
    keys = {place.ground.ssh(node, "cat", KEY) for node in MACHINES}
    assert len(keys) == 1
    (key,) = keys
    assert len(key) == 128
    credential = place.ground.ssh(FIRST, "munge", "--no-input")
    assert "Success" in place.ground.ssh(SECOND, "unmunge", stdin=credential.encode())
    for node in MACHINES:  # what wrote it is gone: the script of the job
        left = place.ground.ssh(node, "find", "/run/innervate/jobs", "-name", "run", "-newer", KEY)
        assert not left.split(), left


def test_every_machine_has_the_same_configuration(place: Place) -> None:
    text = place.ground.ssh(HEAD, "cat", "/etc/slurm/slurm.conf")
    wanted = hashlib.sha256(text.encode()).hexdigest()
    assert [place.ground.ssh(node, "sha256sum", NODE_CONF)[:64] for node in (FIRST, SECOND)] == [wanted, wanted]


def test_a_job_gets_the_gpu_that_it_asked_for_and_no_other(place: Place) -> None:
    look = (
        "echo $CUDA_VISIBLE_DEVICES; for gpu in 0 1; do head -c 1 /dev/nvidia$gpu >/dev/null 2>&1 && echo $gpu; done; :"
    )
    said = place.ground.ssh(HEAD, "srun", "--gres=gpu:tesla_t4:1", "--time=1", "sh", "-c", f"hostname; {look}")
    assert said.split() == ["first", "0", "0"]
    both = place.ground.ssh(HEAD, "srun", "--gres=gpu:2", "--time=1", "sh", "-c", look)
    assert both.split() == ["0,1", "0", "1"]


def states(place: Place) -> dict[str, words.NodeWord]:
    return dict(words.nodes(place.ground.ssh(HEAD, "scontrol", "--oneliner", "show", "nodes")))


def test_slurms_own_programs_take_what_is_rendered(place: Place) -> None:
    """The golden files; and they refuse what is none, so that taking says something."""
    golden = Path(__file__).parents[1] / "golden/slurm"
    for name, node in (("slurm.conf", "gpu-0"), ("backup-slurm.conf", "cpu-0")):
        text = (golden / name).read_text()
        gres = (golden / "gres.conf").read_text() if "GresTypes" in text else "AutoDetect=off\n"
        for file, content in (("slurm.conf", text), ("gres.conf", gres), ("cgroup.conf", conf.CGROUP)):
            place.ground.ssh(FIRST, "sh", "-c", "mkdir -p /t; cat >/t/$0", file, stdin=content.encode())
        said = place.ground.ssh(FIRST, "sh", "-c", f"slurmd -G -f /t/slurm.conf -N {node} 2>&1")
        assert said.count("Gres Name=gpu Type=tesla_t4") == (2 if "GresTypes" in text else 0), said
    place.ground.ssh(FIRST, "sh", "-c", "echo Surprise=yes >>/t/slurm.conf")
    with pytest.raises(CommandError, match="Surprise"):
        place.ground.ssh(FIRST, "sh", "-c", "slurmd -G -f /t/slurm.conf -N cpu-0 2>&1")


@pytest.mark.long
def test_a_configuration_that_somebody_changed_is_told(place: Place) -> None:
    assert on(place.ground, lambda: _noted(place)) == []
    place.ground.ssh(SECOND, "sh", "-c", f"echo '# mine' >>{NODE_CONF}")
    place.ground.ssh(HEAD, "scontrol", "update", "nodename=first", "state=drain", "reason=fan")
    assert on(place.ground, lambda: _noted(place)) == [
        "hpc: first is drain: fan; second has another slurm.conf than the cluster"
    ]
    place.ground.ssh(HEAD, "scontrol", "update", "nodename=first", "state=resume")
    place.ground.ssh(HEAD, "scontrol", "reconfigure")


async def _noted(place: Place) -> list[str]:
    """What the watch tells in a life that begins now."""
    async with living(place.ground, MACHINES, place.lent, facts=facts_of) as life:
        tick = life.memory.tick
        for spec in life.made.slurm.clusters().values():
            await life.made.slurm.look(spec)
        await life.memory.changed(tick, 0.5)
        entries = await life.memory.read(after=0, machine=None, limit=1000, kinds=frozenset({"cluster-noted"}))
        return [one.record.text for one in entries if isinstance(one.record, ClusterNoted)]


@pytest.mark.long
def test_workers_are_drained_updated_and_resumed_one_after_the_other(place: Place) -> None:
    """Of a set whose version is told as another one's: the packages are the same."""
    newer = place.score.set.replace("-amd64", "+again-amd64")
    _copy(place.ground.folder / "state/sets")
    on(place.ground, lambda: _imported_again(place))
    _, ended, after = place.run(replace(place.score, set=newer))
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert evidence(ended, "slurm.first.drain-slurm") == {"first": "drain idle"}
    assert not after.steps
    assert {node.lacks for node in states(place).values()} == {""}
    place.score = replace(place.score, set=newer)


def _copy(folder: Path) -> None:
    subprocess.run(["cp", "-rl", folder / "slurm", folder / "again"], check=True)
    described = read_set((folder / "again/set.json").read_bytes())
    (folder / "again/set.json").unlink()
    (folder / "again/set.json").write_bytes(replace(described, version=f"{described.version}+again").to_json())


async def _imported_again(place: Place) -> None:
    async with living(place.ground, MACHINES, place.lent) as life:
        await imported(life.sets, "again")


@pytest.mark.long
def test_a_dead_worker_whose_machine_is_installed_anew_works_again(place: Place) -> None:
    place.ground.cut(SECOND)
    place.ground.replace_disk(SECOND)
    place.ground.start(SECOND)
    plan, ended = on(place.ground, lambda: _replaced(place))
    assert [step.id.removeprefix("slurm.") for step in plan.steps] == [
        "second.prepare-slurm",
        "second.join-slurm",
        "head.confirm-slurm",
    ]
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert evidence(ended, "slurm.head.confirm-slurm")["answered"] == "first, second"


async def _replaced(place: Place) -> tuple[Plan, RunStatus]:
    async with living(place.ground, MACHINES, place.lent, facts=facts_of) as life:
        name = MachineName(SECOND.name)  # what its installation does to what is known of it
        life.memory.world.machines[name] = amended(life.memory.world.machine(name), slurm=None)
        plan = life.plan(place.score)
        return plan, await life.ended(await life.apply(plan))


@pytest.mark.long
def test_all_get_another_key(place: Place) -> None:
    before = place.ground.ssh(HEAD, "cat", KEY)
    _, ended, after = place.run(replace(place.score, key=2))
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps
    keys = {place.ground.ssh(node, "cat", KEY) for node in MACHINES}
    assert len(keys) == 1
    assert before not in keys
    place.score = replace(place.score, key=2)


@pytest.mark.long
def test_a_worker_that_is_taken_out_has_no_key_and_cannot_come_back(place: Place) -> None:
    key = place.ground.ssh(SECOND, "cat", KEY)
    alone = replace(place.score, workers=("first",))
    plan, ended, after = place.run(alone)
    assert {step.id: step.needs for step in plan.steps} == {
        "slurm.second.drain-slurm": (),
        "slurm.head.serve-slurm": ("slurm.second.drain-slurm",),
        "slurm.second.leave-slurm": ("slurm.head.serve-slurm",),
        "slurm.head.confirm-slurm": ("slurm.head.serve-slurm",),
    }
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps
    assert set(states(place)) == {"first"}
    assert "none" in place.ground.ssh(SECOND, "sh", "-c", f"[ -e {KEY} ] || echo none")
    holders = place.ground.ssh(SECOND, "sh", "-c", 'grep -rl "$1" /etc /run /var /root 2>/dev/null || :', "sh", key)
    assert not holders.split()
    place.ground.ssh(SECOND, "sh", "-c", _COMES_BACK)
    with pytest.raises(CommandError):
        place.ground.ssh(SECOND, "timeout", "20", "srun", "--immediate=5", "hostname")
    assert set(states(place)) == {"first"}
    place.ground.ssh(SECOND, "systemctl", "disable", "--quiet", "--now", "munge", "slurmd")


@pytest.mark.long
def test_a_gpu_without_its_driver_is_told(place: Place) -> None:
    """On the worker that was taken out: what discovery has seen is not there to be opened."""
    _, ended, _ = place.run(place.score, lambda machine: replace(facts_of(machine), gpus=T4))
    assert ended.state is RunState.FAILED
    result = ended.attempts[StepId("slurm.second.join-slurm")].result
    assert result is not None
    assert result.problem is not None
    assert "/dev/nvidia0 is not there: has the image the driver of this GPU?" in result.problem.evidence


@pytest.mark.long
def test_a_second_controller_goes_on_when_the_first_is_dead(place: Place) -> None:
    """What was a worker once leads now; both remember jobs on storage that they share."""
    two = replace(place.score, controller=("head", "second"), workers=("first",), state="/srv/shared/slurm")
    _, ended, after = place.run(two)
    assert ended.state is RunState.DONE, [one.result for one in ended.attempts.values()]
    assert not after.steps
    assert place.ground.ssh(SECOND, "scontrol", "ping").split("\n")[:2] == [
        "Slurmctld(primary) at head is UP",
        "Slurmctld(backup) at second is UP",
    ]
    job = place.ground.ssh(HEAD, "timeout", "60", "sh", "-c", _REMEMBERED, "sh", two.state).strip()
    place.ground.cut(HEAD)
    place.ground.ssh(SECOND, "scontrol", "takeover")
    assert f"{job} RUNNING" in place.ground.ssh(SECOND, "squeue", "--noheader", "--format=%i %T").splitlines()
    place.ground.ssh(SECOND, "scancel", "--user=root")
    assert place.ground.ssh(FIRST, "srun", "--immediate=60", "--time=1", "hostname", seconds=90).split() == ["first"]


# slurmctld saves what it knows of jobs within seconds, not before it answers.
_REMEMBERED = """\
set -eu
job=$(sbatch --parsable --time=5 --output=/dev/null --wrap='sleep 300')
until squeue --noheader --jobs="$job" --states=RUNNING | grep --quiet .; do sleep 0.2; done
touch "$1/.mark"
until find "$1/job_state" -newer "$1/.mark" | grep --quiet .; do sleep 0.2; done
echo "$job"
"""


# With a key of its own, and the configuration that it had.
_COMES_BACK = """\
set -eu
rm -f /etc/munge/munge.key
su munge -s /bin/sh -c 'mungekey --create'
systemctl start munge
echo 'SLURMD_OPTIONS="--conf-server 10.77.0.11:6817"' >/etc/default/slurmd
systemctl start --no-block slurmd
"""

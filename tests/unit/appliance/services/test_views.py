"""What people read: one sentence per record, and machines with their stages, progress and rate."""

from dataclasses import replace

import pytest

from appliance.conductor.decision import Wait
from appliance.conductor.machine import MachineState
from appliance.conductor.runs import Attempt, RunStatus
from appliance.model.filter import Field, values_of
from appliance.model.hardware import Neighbour
from appliance.model.ids import Fence, MachineName, Nonce, RunId, StepId
from appliance.model.phase import PHASES, Condition, ConditionKind, Phase
from appliance.model.place import Place
from appliance.model.views import LinkView, ProgressView, StepState
from appliance.plan import Deferred, PlanIndex
from appliance.services.agents import Session
from appliance.services.views import Around, describe, event_view, machine_card, machine_view, plan_view, run_view
from appliance.store.records import Entry, Problem, StepResult
from images.agent.protocol import Progress, TaskReport, TaskState
from tests.unit.appliance.store.samples import ADDRESS, FACTS, IDENTITY, NODE, PLAN, RUN, SAMPLES

SENTENCES = (
    f"plan {PLAN.digest[:12]} for lab: 12 steps",
    f"run 0badcafe of plan {PLAN.digest[:12]} started by operator; first node-0; 2 machines at once: inrush",
    "run 0badcafe paused: 2 of 3 failed",
    "run 0badcafe goes on",
    "set aside in run 0badcafe: fan",
    "tried again in run 0badcafe",
    "run 0badcafe failed",
    "discover.node-0.enrol begins (read, fence 2, resumes fence 1)",
    "discover.node-0.enrol done (fence 1): serial SN0001",
    "discover.node-0.enrol failed (fence 1): login refused; 401; again in 2 s",
    "power command on",
    "boot once from network",
    "forget its lease",
    "put a one-time token into the BMC's drive",
    "accepted; a look afterwards shows: none",
    "no answer: silence; the machine itself shows whether it was done",
    "refused: login refused",
    "power command on",
    "the BMC controls serial SN0001, UUID 00000077-0000-4000-8000-000000000001",
    "address 10.77.0.51 leased",
    "tftp: snponly.efi",
    "agent hello: serial SN0001",
    "one-time token 1 lies in the BMC's drive",
    "agent key aaaaaaaaaaaaaaaa from 10.77.0.51 speaks for it, rung L1; strange",
    "the code of agent key aaaaaaaaaaaaaaaa was compared by ann: rung L3",
    "code refused by ann: its console shows another code",
    "held: two agents speak for one machine; the last to speak was 10.77.0.51",
    f"the TPM with endorsement key {'ec' * 32} speaks for agent key aaaaaaaaaaaaaaaa: rung L2; its certificate, "
    "not checked, is by CN=maker; PCRs " + ", ".join(f"{number}:0000000000000000" for number in range(8)),
    "no TPM speaks for it: it has no TPM, or its firmware hides it",
    f"held: its TPM is another; all of it: {'ee' * 32}, from 10.77.0.51",
    "installer, word: partman: works",
    "hardware known: serial SN0001, 1 disks, 1 NICs",
    "installed system reports: node-0 at 10.77.0.51, nonce 01234567",
    "held: fan",
    "released",
    "10.77.0.51 has not answered for 2 minutes",
    "answers again",
    "it came back 4 times",
    "not JSON",
    "another DHCP server",
    "goal 1badcafe by anna: provision the site; may destroy without asking: anything",
    f"goal 1badcafe waits for approval of plan {PLAN.digest[:12]}: innervate apply --digest {PLAN.digest}",
    "goal 1badcafe failed by ben: no disk fits",
    "version 0.2.0 in slot b is healthy, and stays",
    "prod: certificate csr-1 of node-9 refused: no token",
    "webhook chat gave up 5 events, from 3 to 9: its receiver did not take them",
    "the artifact set kubeadm-v1.20.2-amd64 (rebuilt) is here, whole by ann",
    "the artifact set kubeadm-v1.20.2-amd64 was removed by ann",
    "a request was carried out: /v1/runs/3f2a",
)


def test_sentences() -> None:
    assert tuple(describe(record) for record in SAMPLES) == SENTENCES


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (None, "s done (fence 1)"),
        (Problem(code="c", message="lost"), "s failed (fence 1): lost"),
        (Problem(code="c", message="lost", evidence="seen"), "s failed (fence 1): lost; seen"),
    ],
)
def test_results_without_details(problem: Problem | None, text: str) -> None:
    assert describe(StepResult(run=RUN, step=StepId("s"), machine=NODE, fence=Fence(1), problem=problem)) == text


@pytest.mark.parametrize(
    ("index", "machine", "run", "fields"),
    [(0, "", "", {}), (1, "", RUN, {}), (8, NODE, RUN, {"serial": "SN0001"}), (10, NODE, RUN, {}), (17, NODE, "", {})],
)
def test_events(index: int, machine: str, run: str, fields: dict[str, str]) -> None:
    view = event_view(Entry(seq=7, time=2.0, record=SAMPLES[index]))
    assert (view.seq, view.time, view.machine, view.run, view.fields) == (7, 2.0, machine, run, fields)
    assert (view.kind, view.text) == (SAMPLES[index].record, SENTENCES[index])


WRITE = StepId("install-linux.node-0.write-image")
ATTEMPT = Attempt(step=WRITE, run=RUN, fence=Fence(2), nonce=Nonce("n"), started=50.0)
INDEX = PlanIndex.of(PLAN)
STATUS = RunStatus(id=RUN, plan=PLAN, digest=PLAN.digest, index=INDEX, started=40.0, attempts={WRITE: ATTEMPT})
STATE = MachineState(name=NODE, phase=Phase.DEPLOYING, since=50.0, identity=IDENTITY, address=ADDRESS, attempt=ATTEMPT)


AGENT = Wait(why="the agent works", until=90.0)


def session(*samples: tuple[float, int], task: str = f"{RUN}.{WRITE}", total: int = 100) -> Session:
    progress = Progress(done=samples[-1][1], total=total)
    said = TaskReport(id=task, fence=2, state=TaskState.RUNNING, progress=progress, evidence={}, error=None)
    return Session(nonce=Nonce("n"), boot_id="b", seen=samples[-1][0], report=said, samples=samples)


@pytest.mark.parametrize(
    ("heard", "progress"),
    [
        (None, None),
        (Session(nonce=Nonce("n"), boot_id="b", seen=1.0), None),
        (session((10.0, 20)), ProgressView(done=20, total=100)),
        (session((10.0, 20), (12.0, 60)), ProgressView(done=60, total=100, rate=20.0, eta=2.0)),
        (session((10.0, 20), (11.0, 30), (14.0, 100)), ProgressView(done=100, total=100, rate=20.0, eta=0.0)),
        (session((10.0, 20), (12.0, 20)), ProgressView(done=20, total=100, rate=0.0)),
        (session((10.0, 20), (10.0, 30)), ProgressView(done=30, total=100)),
        (session((10.0, 0), total=0), None),
        (session((10.0, 20), task="another-run." + WRITE), None),
    ],
)
def test_progress(heard: Session | None, progress: ProgressView | None) -> None:
    assert machine_view(STATE, STATUS, heard, None).progress == progress
    steps = STATUS.index.by_machine[STATE.name]
    view = machine_view(STATE, STATUS, heard, None)
    assert view.step is not None
    assert (steps[view.step_number - 1].id, view.step_count) == (view.step.id, len(steps))
    assert machine_view(replace(STATE, attempt=None), None, heard, None).step_number == 0
    assert machine_view(replace(STATE, attempt=None), None, heard, None).progress is None


def test_stages_count_from_power_on() -> None:
    state = replace(STATE, power_on=100.0, stages={"dhcp": 110.25, "hello": 120.0, "unheard-of": 1.0})
    stages = machine_view(state, None, None, None).stages
    assert stages == {
        "dhcp": 10.25,
        "tftp": None,
        "script": None,
        "hello": 20.0,
        "written": None,
        "first_boot": None,
        "ssh": None,
    }
    assert set(machine_view(replace(state, power_on=None), None, None, None).stages.values()) == {None}


def test_a_machine_at_work() -> None:
    view = machine_view(STATE, STATUS, None, AGENT, 120.0)
    assert view.step is not None
    assert (view.step.id, view.step.state, view.step.fence, view.step.waiting) == (
        WRITE,
        StepState.RUNNING,
        2,
        "the agent works",
    )
    assert (view.step.deadline, view.step.usual) == (90.0, 120.0)
    assert (view.serial, view.uuid, view.address) == ("SN0001", str(IDENTITY.uuid), "10.77.0.51")
    assert view.product == "Innervate Lab Virtual Server"


def test_facts_know_the_serial_better() -> None:
    assert machine_view(replace(STATE, facts=replace(FACTS, serial="F")), None, None, None).serial == "F"


def test_hardware_and_place() -> None:
    around = Around(place=Place(rack="r12", unit=7), bmc_url="https://10.1.0.5:8443", run="3f2a")
    view = machine_view(replace(STATE, facts=FACTS), None, None, None, around=around)
    assert (view.place, view.bmc, view.run) == (around.place, "10.1.0.5", "3f2a")
    assert (view.cores, view.memory_bytes) == (FACTS.cores, FACTS.memory_bytes)
    assert [(disk.serial, disk.size_bytes) for disk in view.disks] == [
        (disk.serial, disk.size_bytes) for disk in FACTS.disks
    ]
    assert view.macs == tuple(dict.fromkeys(str(mac) for mac in (*(n.mac for n in FACTS.nics), *IDENTITY.macs)))
    assert machine_view(STATE, None, None, None).macs == tuple(map(str, IDENTITY.macs)), "the BMC knew them before"


def test_links_name_switch_and_port() -> None:
    """Of two NICs with a link nobody knows which one heard the second neighbour."""
    eth0, eth1 = FACTS.nics[0], replace(FACTS.nics[0], name="eth1", carrier=False, speed_mbps=25000)
    near = Neighbour(nic="eth0", chassis="aa:bb", port="swp7", system="leaf-1.lab")
    facts = replace(FACTS, nics=(eth0, eth1), neighbours=(near, replace(near, nic="", system="", port="swp8")))
    state = MachineState(name=NODE, facts=facts)
    assert machine_view(state, None, None, None).links == (
        LinkView(nic="eth0", mac=str(eth0.mac), switch="leaf-1.lab", port="swp7"),
        LinkView(nic="eth1", mac=str(eth1.mac), up=False, speed_mbps=25000),
        LinkView(nic="", switch="aa:bb", port="swp8"),
    )


def test_a_card_fits_the_filters_that_the_view_fits() -> None:
    around = Around(place=Place(rack="r12", unit=7), bmc_url="https://10.1.0.5", run=RUN)
    hold = Condition(kind=ConditionKind.HOLD, since=2.0, reason="h")
    for state in (STATE, replace(STATE, facts=FACTS, hold=hold, role="worker"), MachineState(name=NODE)):
        card = machine_card(state, STATUS, 60.0, around)
        view = machine_view(state, STATUS, None, None, None, 60.0, around)
        assert [list(values_of(field, card)) for field in Field] == [list(values_of(field, view)) for field in Field]


def test_a_machine_of_which_nothing_is_known() -> None:
    view = machine_view(MachineState(name=MachineName("x")), None, None, None)
    assert (view.serial, view.uuid, view.address, view.product, view.step) == ("", "", "", "", None)
    assert (view.bmc, view.macs, view.cores, view.memory_bytes, view.disks) == ("", (), None, None, ())


def test_a_machine_that_is_late_is_shown_as_stuck() -> None:
    budget = PHASES[Phase.DEPLOYING].budget
    assert budget is not None
    late = [machine_view(STATE, None, None, None, now=50.0 + budget + more).conditions for more in (0, 1)]
    assert late[0] == ()
    assert [(one.kind, one.since, one.next_action) for one in late[1]] == [
        (ConditionKind.STUCK, 50.0 + budget, "see why: innervate explain node-0")
    ]


def test_conditions() -> None:
    failed = Condition(kind=ConditionKind.FAILED, since=1.0, reason="r", step="s", evidence="e", next_action="n")
    hold = Condition(kind=ConditionKind.HOLD, since=2.0, reason="h")
    views = machine_view(replace(STATE, hold=hold, failed=failed), None, None, None).conditions
    assert [(v.kind.value, v.reason, v.step, v.evidence, v.next_action) for v in views] == [
        ("hold", "h", "", "", ""),
        ("failed", "r", "s", "e", "n"),
    ]


def test_runs_say_what_running_steps_wait_for() -> None:
    done = replace(ATTEMPT, ended=60.0, result=StepResult(run=RunId(RUN), step=WRITE, machine=NODE, fence=Fence(2)))
    for attempt, waiting, state in ((ATTEMPT, "the agent works", StepState.RUNNING), (done, "", StepState.DONE)):
        view = run_view(replace(STATUS, attempts={WRITE: attempt}), {NODE: AGENT}.get)
        steps = {step.id: step for step in view.steps}
        assert (steps[WRITE].waiting, steps[WRITE].state) == (waiting, state)
        assert {step.waiting for step in view.steps if step.id != WRITE} == {""}


def test_plans() -> None:
    view = plan_view(replace(PLAN, deferred=(Deferred(score="s", reason="r"),)))
    assert len(view.steps) == len(PLAN.steps)
    assert {step.state for step in view.steps} == {StepState.PENDING}
    assert [(d.score, d.reason) for d in view.deferred] == [("s", "r")]

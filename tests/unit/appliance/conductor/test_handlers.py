"""What each handler names next: tables of little views. Seconds count from when this life took the attempt up."""

from dataclasses import replace

import pytest

from appliance.conductor.decision import (
    AgentView,
    Ask,
    AskIdentity,
    AskPower,
    AskShell,
    Decision,
    Done,
    Failed,
    Heard,
    Retry,
    Tell,
    View,
    Wait,
    Work,
)
from appliance.conductor.handlers import decide
from appliance.conductor.machine import MachineState
from appliance.conductor.runs import Attempt, SentOrder
from appliance.inventory.identity import Conflict
from appliance.model.bmc import BootTarget, PowerCommand, PowerState, SystemIdentity
from appliance.model.hardware import Firmware
from appliance.model.ids import Fence, MachineName, Nonce, RunId, StepId
from appliance.model.orders import BootOrder, ForgetOrder, Order, PowerOrder, Trace
from appliance.model.phase import Phase
from appliance.plan import Action, BootAgent, BootDisk, DiskRef, Enrol, Inspect, Retire, Step, WriteImage
from appliance.store.records import FirstBootSeen, HelloSeen, Problem
from images.agent.protocol import Failure, Progress, TaskReport, TaskState
from images.agent.tasks import BUSY
from tests.unit.appliance.conductor.rack import IMAGE
from tests.unit.appliance.store.samples import ADDRESS, FACTS, IDENTITY

NODE = MachineName("node-0")
DISK = DiskRef(serial="DISK0001", wwn="", size_bytes=4 << 30, contents="blank")
NONCE = Nonce("n")
STEP = Step(id=StepId("s"), machine=NODE, score="t", summary="do it", do=BootAgent(), budget=1800)
HELLO = HelloSeen(machine=NODE, nonce=NONCE, boot_id="b", firmware=Firmware.UEFI, detail="")
REPORT = FirstBootSeen(
    machine=NODE, nonce=Nonce("seed"), boot_id="c", hostname="node-0", serial="S", address=ADDRESS, host_keys=()
)
UP = AgentView(alive=True, silent=0.0, life="b.1")
GONE = AgentView(alive=False, silent=200.0, life="b.1")
REFUSED = Problem(code="bmc", message="login refused")
TWINS = Conflict(names=(NODE,), why="twins")
BEGAN = 1000.0


def view(
    do: Action,
    *,
    state: MachineState | None = None,
    orders: tuple[SentOrder, ...] = (),
    agent: AgentView | None = None,
    heard: tuple[Heard, ...] = (),
    work: Work | None = None,
    resumed: float | None = None,
    clash: Conflict | None = None,
) -> View:
    return View(
        state=state or MachineState(name=NODE),
        step=replace(STEP, do=do),
        attempt=Attempt(
            step=STEP.id,
            run=RunId("r"),
            fence=Fence(2),
            nonce=NONCE,
            started=BEGAN,
            orders=orders,
            resumed_from=resumed,
        ),
        began=BEGAN,
        agent=agent or AgentView(),
        heard=heard,
        work=work,
        first_signs=(),
        clash_of=lambda _identity: clash,
    )


def sent(order: Order, at: float = BEGAN, *, answered: bool = True, problem: Problem | None = None) -> SentOrder:
    return SentOrder(number=1, order=order, at=at, answered=answered, problem=problem)


def power(answer: PowerState | None, at: float = BEGAN, problem: Problem | None = None) -> Heard:
    return Heard(question=AskPower(), at=at, answer=answer, problem=problem)


def who(answer: SystemIdentity | None, problem: Problem | None = None) -> Heard:
    return Heard(question=AskIdentity(), at=BEGAN, answer=answer, problem=problem)


def said(decision: Decision) -> str:
    """In one word or two, with the time in seconds from the beginning."""
    match decision:
        case Tell(order=PowerOrder(command=command)):
            return f"tell {command.value}"
        case Tell(order=BootOrder(target=target)):
            return f"boot once {target.value}"
        case Tell(order=ForgetOrder(trace=trace)):
            return f"forget {trace.value}"
        case Ask(question=question):
            return {AskIdentity: "ask who", AskPower: "ask power", AskShell: "ask shell"}[type(question)]
        case Wait(until=until, work=work):
            return ("work" if work else "wait") + (f" {until - BEGAN:.0f}" if until is not None else "")
        case Done():
            return "done"
        case Retry(problem=problem):
            return f"retry {problem.code}"
        case Failed(problem=problem):
            return f"failed {problem.code}"


NETWORK, DISK_BOOT = BootOrder(target=BootTarget.NETWORK), BootOrder(target=BootTarget.DISK)
ON, RESTART, OFF = (
    PowerOrder(command=c) for c in (PowerCommand.ON, PowerCommand.FORCE_RESTART, PowerCommand.FORCE_OFF)
)
GREETED = MachineState(name=NODE, hello=HELLO)
SEEN = MachineState(name=NODE, stages={"dhcp": 1010.0})


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        (view(Enrol()), 0, "ask who"),
        (view(Enrol(), heard=(who(None, REFUSED),)), 0, "failed bmc"),
        (view(Enrol(), heard=(who(IDENTITY),)), 0, "done"),
        (
            view(Enrol(), heard=(who(IDENTITY),), clash=Conflict(names=(NODE,), why="twins")),
            0,
            "failed duplicate-identity",
        ),
        # the agent: running, returning, or started by the rungs of a ladder
        (view(BootAgent(), state=GREETED, agent=UP), 0, "done"),
        (view(BootAgent(), agent=UP), 0, "boot once network"),
        (view(BootAgent(), state=GREETED), 0, "wait 45"),
        (view(BootAgent(), state=GREETED), 45, "boot once network"),
        (view(BootAgent(), orders=(sent(NETWORK),)), 0, "ask power"),
        (view(BootAgent(), orders=(sent(NETWORK, problem=REFUSED),)), 0, "failed bmc"),
        (view(BootAgent(), orders=(sent(NETWORK),), heard=(power(PowerState.OFF),)), 0, "tell on"),
        (view(BootAgent(), orders=(sent(NETWORK),), heard=(power(PowerState.ON),)), 0, "tell force-restart"),
        (view(BootAgent(), orders=(sent(NETWORK),), heard=(power(None, problem=REFUSED),)), 0, "failed bmc"),
        (view(BootAgent(), orders=(sent(NETWORK), sent(ON))), 809, "wait 810"),
        (view(BootAgent(), orders=(sent(NETWORK), sent(ON, answered=False))), 0, "ask power"),
        (
            view(BootAgent(), orders=(sent(NETWORK), sent(ON, answered=False)), heard=(power(PowerState.OFF),)),
            0,
            "tell on",
        ),
        (
            view(BootAgent(), orders=(sent(NETWORK), sent(ON, answered=False)), heard=(power(PowerState.ON),)),
            0,
            "wait 810",
        ),
        (
            view(BootAgent(), orders=(sent(NETWORK), sent(ON, answered=False)), heard=(power(None, problem=REFUSED),)),
            0,
            "wait 810",
        ),
        (view(BootAgent(), state=SEEN, orders=(sent(NETWORK), sent(ON, answered=False))), 0, "wait 810"),
        (view(BootAgent(), orders=(sent(NETWORK), sent(ON, problem=REFUSED))), 0, "failed bmc"),
        (view(BootAgent(), orders=(sent(NETWORK), sent(ON))), 810, "boot once network"),
        (view(BootAgent(), orders=(sent(NETWORK), sent(ON), sent(NETWORK, 1810))), 810, "ask power"),
        (
            view(
                BootAgent(),
                orders=(sent(NETWORK), sent(ON), sent(NETWORK, 1810)),
                heard=(power(PowerState.ON, 1810),),
            ),
            810,
            "tell force-off",
        ),
        (view(BootAgent(), orders=(sent(NETWORK), sent(ON), sent(NETWORK, 1810), sent(OFF, 1810))), 811, "tell on"),
        (
            view(BootAgent(), orders=(sent(NETWORK), sent(ON), sent(NETWORK, 1810), sent(OFF, 1811, answered=False))),
            812,
            "ask power",
        ),
        (
            view(BootAgent(), state=SEEN, orders=(sent(NETWORK), sent(ON), sent(NETWORK), sent(OFF), sent(ON, 1820))),
            1630,
            "failed agent-silent",
        ),
        # facts of this boot
        (view(Inspect(), state=replace(GREETED, facts=FACTS, facts_nonce=NONCE), agent=UP), 0, "done"),
        (view(Inspect(), state=replace(GREETED, facts=FACTS, facts_nonce=Nonce("old")), agent=UP), 0, "wait 15"),
        (view(Inspect(), state=GREETED, agent=UP), 15, "work"),
        (view(Inspect(), state=GREETED, agent=GONE), 15, "wait 30"),
        (view(Inspect(), state=GREETED, agent=UP), 240, "retry facts-missing"),
        # work that the agent does
        (view(WriteImage(image=IMAGE, disk=DISK), state=GREETED, agent=UP), 0, "work"),
        (view(WriteImage(image=IMAGE, disk=DISK), state=GREETED), 50, "boot once network"),
    ],
)
def test_what_comes_next(seen: View, now: float, expected: str) -> None:
    assert said(decide(seen, BEGAN + now)) == expected


def report(
    state: TaskState = TaskState.RUNNING, fence: int = 2, task: str = "r.s", error: Failure | None = None
) -> TaskReport:
    return TaskReport(id=task, fence=fence, state=state, progress=Progress(), evidence={}, error=error)


def failure(message: str) -> Failure:
    return Failure(message=message, evidence="", next_action="")


WORK = Work(task="r.s", life="b.1", since=BEGAN)


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (UP, "work 90"),
        (replace(UP, report=report()), "work 90"),
        (replace(UP, report=report(TaskState.DONE)), "done"),
        (replace(UP, report=report(TaskState.DONE, fence=1)), "work 90"),
        (replace(UP, report=report(TaskState.DONE, task="q.s")), "work 90"),
        (replace(UP, report=report(TaskState.FAILED, error=failure("no disk"))), "failed agent"),
        (replace(UP, report=report(TaskState.FAILED, fence=1, error=failure("no disk"))), "work 90"),
        (replace(UP, report=report(TaskState.FAILED, error=failure(BUSY))), "work 90"),
        (replace(UP, life="b.2"), "retry agent-lost"),
        (replace(UP, alive=False, silent=60.0), "work 30"),
        (replace(UP, alive=False, silent=90.0), "retry agent-lost"),
    ],
)
def test_how_a_task_ends(agent: AgentView, expected: str) -> None:
    seen = view(WriteImage(image=IMAGE, disk=DISK), state=GREETED, agent=agent, work=WORK)
    assert said(decide(seen, BEGAN)) == expected


def test_an_agent_that_does_an_older_task_is_not_disturbed() -> None:
    busy = replace(UP, report=report(task="older.s"))
    assert said(decide(view(WriteImage(image=IMAGE, disk=DISK), state=GREETED, agent=busy), BEGAN)) == "wait"


BOOT = BootDisk(disk=DISK, image=IMAGE)
INSTALLED = MachineState(name=NODE, phase=Phase.BOOTING, seed_nonce=Nonce("seed"))


@pytest.mark.parametrize(
    ("seen", "now", "expected"),
    [
        (view(BOOT, state=replace(INSTALLED, first_boot=REPORT)), 0, "done"),
        (view(BOOT, state=replace(INSTALLED, first_boot=replace(REPORT, nonce=Nonce("old")))), 0, "wait 45"),
        (view(BOOT, state=INSTALLED, agent=UP), 0, "work"),
        (view(BOOT, state=INSTALLED), 45, "boot once disk"),
        (view(BOOT, state=INSTALLED, resumed=900), 45, "wait 855"),
        (view(BOOT, state=INSTALLED, resumed=900), 855, "boot once disk"),
        (view(BOOT, state=INSTALLED, agent=UP, work=WORK), 0, "work 90"),
        (view(BOOT, state=INSTALLED, agent=GONE, work=replace(WORK, ended=1010)), 100, "wait 820"),
        (view(BOOT, state=INSTALLED, agent=GONE, work=replace(WORK, ended=1010)), 820, "boot once disk"),
        (view(BOOT, state=INSTALLED, orders=(sent(DISK_BOOT),)), 0, "tell force-restart"),
        (view(BOOT, state=INSTALLED, orders=(sent(DISK_BOOT, problem=REFUSED),)), 0, "failed bmc"),
        (view(BOOT, state=INSTALLED, orders=(sent(DISK_BOOT), sent(RESTART, answered=False))), 809, "wait 810"),
        (view(BOOT, state=INSTALLED, orders=(sent(DISK_BOOT), sent(RESTART))), 810, "failed first-boot-silent"),
        # out of service: off, then one trace after the other
        (view(Retire()), 0, "ask power"),
        (view(Retire(), heard=(power(PowerState.ON),)), 0, "tell force-off"),
        (view(Retire(), heard=(power(PowerState.ON),), orders=(sent(OFF),)), 1, "wait 2"),
        (view(Retire(), heard=(power(PowerState.ON),), orders=(sent(OFF),)), 2, "ask power"),
        (view(Retire(), heard=(power(PowerState.ON),), orders=(sent(OFF),)), 180, "failed power"),
        (view(Retire(), heard=(power(PowerState.OFF),), orders=(sent(OFF),)), 2, "forget lease"),
        (view(Retire(), heard=(power(None, problem=REFUSED),)), 2, "forget lease"),
        (
            view(
                Retire(),
                heard=(power(PowerState.OFF),),
                orders=(sent(ForgetOrder(trace=Trace.LEASE)), sent(ForgetOrder(trace=Trace.NAME), answered=False)),
            ),
            2,
            "forget name",
        ),
        (
            view(
                Retire(),
                heard=(power(PowerState.OFF),),
                orders=(sent(ForgetOrder(trace=Trace.LEASE), problem=REFUSED),),
            ),
            2,
            "failed bmc",
        ),
        (
            view(
                Retire(),
                heard=(power(PowerState.OFF),),
                orders=tuple(sent(ForgetOrder(trace=trace)) for trace in Trace),
            ),
            2,
            "done",
        ),
    ],
)
def test_what_comes_after_the_writing(seen: View, now: float, expected: str) -> None:
    assert said(decide(seen, BEGAN + now)) == expected


def test_every_wait_says_what_it_waits_for() -> None:
    waits = [
        decide(view(BootAgent(), state=replace(SEEN, stages=dict.fromkeys(stages, 1010.0)), orders=orders), BEGAN)
        for orders in ((sent(NETWORK), sent(ON)),)
        for stages in ((), ("dhcp",), ("dhcp", "tftp"), ("dhcp", "tftp", "script"))
    ]
    assert [wait.why for wait in waits if isinstance(wait, Wait)] == [
        "powered on; waiting for the firmware's first DHCP packet",
        "address given; waiting for the firmware to fetch iPXE",
        "iPXE fetched; waiting for it to ask for its boot script",
        "boot script served; waiting for the agent's hello from the ramdisk",
    ]

"""Steps that bring the agent up in the ramdisk, and the exchange of one task with it."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.conductor.hands import Attempt, Hands
from appliance.conductor.outcome import Done, Failed, Outcome, Retry
from appliance.conductor.steps.power import command_power, first_sign_patience
from appliance.conductor.world import MachineState
from appliance.model.bmc import BootTarget, PowerCommand, PowerState
from appliance.model.ids import MachineName
from appliance.store.records import Noted, Problem
from images.agent.protocol import Task, TaskReport, TaskState

_RETURN_PATIENCE = 45.0
"""After a restart of ours, agents come back within their longest back-off (30 s)."""

_SILENCE = 90.0
"""An agent in the middle of a task polls at least every 30 s; three misses and it is gone."""

_FACTS_PATIENCE = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rung:
    """One way to start a machine: the commands when it is off and when it is on."""

    name: str
    when_off: tuple[PowerCommand, ...]
    when_on: tuple[PowerCommand, ...]


_LADDER = (
    _Rung(name="start", when_off=(PowerCommand.ON,), when_on=(PowerCommand.FORCE_RESTART,)),
    _Rung(
        name="cold start",
        when_off=(PowerCommand.ON,),
        when_on=(PowerCommand.FORCE_OFF, PowerCommand.ON),
    ),
)


async def ensure_agent(hands: Hands, attempt: Attempt) -> Outcome:
    """The agent runs and was heard with the nonce of this boot."""
    if await _agent_is_up(hands, attempt):
        return Done(evidence={"agent": "already running"})
    for number, rung in enumerate(_LADDER):
        if not (number == 0 and _boot_under_way(hands, attempt)):
            await _climb(hands, attempt, rung)
        if await _hello(hands, attempt, attempt.step.budget * 0.9 / len(_LADDER)):
            return Done(evidence={"agent": "hello with this boot's nonce", "rung": rung.name})
    return Failed(problem=silence(hands.memory.world.machine(attempt.machine)))


async def _agent_is_up(hands: Hands, attempt: Attempt) -> bool:
    if hands.memory.world.machine(attempt.machine).hello is None:
        return False
    return await agent_returns(hands, attempt, lambda: hands.agents.alive(attempt.machine))


async def agent_returns(hands: Hands, attempt: Attempt, enough: Callable[[], bool]) -> bool:
    """Waits as long as a running agent may be away while this daemon restarts; what is `enough` ends it early."""
    hands.waiting(attempt.machine, "waiting for the agent that was running to poll again")
    return bool(await hands.memory.until(attempt.machine, lambda: enough() or None, _RETURN_PATIENCE))


def _boot_under_way(hands: Hands, attempt: Attempt) -> bool:
    """We crashed after the power command of this very attempt: the machine is already coming."""
    power_on = hands.memory.world.machine(attempt.machine).power_on
    return attempt.resumed_from is not None and power_on is not None and power_on >= attempt.resumed_from


async def _climb(hands: Hands, attempt: Attempt, rung: _Rung) -> None:
    bmc = hands.bmc_of(attempt.machine)
    hands.waiting(attempt.machine, f"{rung.name}: telling the BMC to boot once from the network")
    shown = await bmc.set_boot_once(BootTarget.NETWORK)
    if shown is not BootTarget.NETWORK:
        # Some BMCs take the override and do not show it: the DHCP packet decides, this line explains its absence.
        text = f"the BMC took the one-time network boot but reads back {shown.value}"
        hands.memory.note(Noted(machine=attempt.machine, kind="override-unconfirmed", text=text))
    commands = rung.when_off if await bmc.power_state() is PowerState.OFF else rung.when_on
    for command in commands:
        await command_power(hands, attempt, command)


async def _hello(hands: Hands, attempt: Attempt, patience: float) -> bool:
    machine, clock = attempt.machine, hands.clock
    began = clock.monotonic()
    first = first_sign_patience(hands, attempt, patience)
    while (left := began + _patience(hands, machine, first, patience) - clock.monotonic()) > 0:
        hands.waiting(machine, _next_sign(hands.memory.world.machine(machine)))
        before = len(hands.memory.world.machine(machine).stages)

        def progress(before: int = before) -> bool | None:
            state = hands.memory.world.machine(machine)
            return True if state.hello or len(state.stages) > before else None

        await hands.memory.until(machine, progress, left)
        if hands.memory.world.machine(machine).hello is not None:
            return True
    return False


def _patience(hands: Hands, machine: MachineName, first: float, whole: float) -> float:
    return whole if hands.memory.world.machine(machine).stages else first


def _next_sign(state: MachineState) -> str:
    """What a machine that network boots has to show next."""
    if "script" in state.stages:
        return "boot script served; waiting for the agent's hello from the ramdisk"
    if "tftp" in state.stages:
        return "iPXE fetched; waiting for it to ask for its boot script"
    if "dhcp" in state.stages:
        return "address given; waiting for the firmware to fetch iPXE"
    return "powered on; waiting for the firmware's first DHCP packet"


def silence(state: MachineState) -> Problem:
    """The verdict when no agent came: what was seen last tells where to look."""
    if "script" in state.stages:
        action = "read the machine's serial console: the kernel or the ramdisk stops there"
    elif "dhcp" in state.stages:
        action = "check that TFTP and HTTP reach the machine (firewall, MTU), then read its console"
    else:
        action = "check the network cable, the switch port (spanning tree, VLAN) and that PXE is on in the firmware"
    seen = ", ".join(state.stages) or "nothing"
    return Problem(
        code="agent-silent",
        message="the machine was started but its agent never said hello",
        evidence=f"seen since power-on: {seen}",
        next_action=action,
    )


async def ensure_facts(hands: Hands, attempt: Attempt) -> Outcome:
    """Facts of *this* boot: what an earlier boot reported may be gone."""
    machine = attempt.machine
    hands.waiting(machine, "waiting for the agent's hardware report")

    def current() -> bool | None:
        state = hands.memory.world.machine(machine)
        return True if state.hello is not None and state.facts_nonce == state.hello.nonce else None

    if not await hands.memory.until(machine, current, min(_FACTS_PATIENCE, attempt.step.budget * 0.9)):
        problem = Problem(
            code="facts-missing",
            message="the agent runs but no usable hardware report came",
            evidence="no facts with this boot's nonce",
            next_action=f"read the agent's log: innervate events --machine {machine}",
        )
        return Retry(seconds=5, problem=problem)
    facts = hands.memory.world.machine(machine).facts
    disks = ", ".join(disk.serial or disk.wwn for disk in facts.disks) if facts else ""
    return Done(evidence={"serial": facts.serial if facts else "", "disks": disks})


async def run_task(hands: Hands, attempt: Attempt, task: Task) -> Outcome:
    """Gives the agent one task and waits for its end; an agent that is lost or restarted makes it a new attempt."""
    up = await ensure_agent(hands, attempt)
    return await exchange(hands, attempt, task) if isinstance(up, Done) else up


async def exchange(hands: Hands, attempt: Attempt, task: Task) -> Outcome:
    """`run_task` with an agent that is known to be up."""
    life = hands.agents.life(attempt.machine)
    hands.agents.assign(attempt.machine, task)
    hands.waiting(attempt.machine, f"the agent works: {attempt.step.summary}")
    try:
        return await _end_of_task(hands, attempt, task, life)
    finally:
        hands.agents.assign(attempt.machine, None)


async def _end_of_task(hands: Hands, attempt: Attempt, task: Task, life: str) -> Outcome:
    machine = attempt.machine

    def ended() -> Outcome | None:
        if hands.agents.life(machine) != life:
            return Retry(seconds=0, problem=_lost("the agent restarted in the middle of its task"))
        report = hands.agents.report(machine)
        return _outcome(report) if report and (report.id, report.fence) == (task.id, task.fence) else None

    while True:
        outcome: Outcome | None = await hands.memory.until(machine, ended, _SILENCE)
        if outcome is not None:
            return outcome
        if not hands.agents.alive(machine):
            return Retry(seconds=0, problem=_lost(f"the agent was silent for {_SILENCE:.0f} s"))


def _outcome(report: TaskReport) -> Outcome | None:
    if report.error is not None:
        error = report.error
        return Failed(
            problem=Problem(
                code="agent",
                message=error.message,
                evidence=error.evidence,
                next_action=error.next_action,
            )
        )
    if report.state is not TaskState.DONE:
        return None
    return Done(evidence={name: str(value) for name, value in report.evidence.items()})


def _lost(message: str) -> Problem:
    return Problem(
        code="agent-lost",
        message=message,
        next_action="nothing to do: the step is tried again under a new fence",
    )

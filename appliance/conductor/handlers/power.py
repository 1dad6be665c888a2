"""Power, proven by the machine itself."""

from typing import assert_never

from appliance.bmc.evidence import BudgetRule, Finding, Rung, Sighting, Verdict, budget, judge
from appliance.conductor.decision import Ask, AskPower, Decision, Done, Failed, Tell, View, Wait
from appliance.conductor.machine import MachineState
from appliance.conductor.runs import SentOrder
from appliance.model.bmc import PowerCommand, PowerState
from appliance.model.orders import PowerOrder
from appliance.plan import SetPower
from appliance.store.records import BootStage, Problem

_GOALS = {
    PowerCommand.ON: PowerState.ON,
    PowerCommand.GRACEFUL_OFF: PowerState.OFF,
    PowerCommand.FORCE_OFF: PowerState.OFF,
}
_QUICKEST = 60.0
OFF_PATIENCE = 180.0
LOOK_EVERY = 2.0
_SHOWS = {
    BootStage.DHCP.value: Rung.DHCP,
    BootStage.RIVAL.value: Rung.DHCP,
    BootStage.SYSTEM.value: Rung.DHCP,
    BootStage.LEASE.value: Rung.DHCP,
    "hello": Rung.AGENT,
    "first_boot": Rung.AGENT,
}


def first_sign_patience(view: View, most: float) -> float:
    """Seconds from power-on to a machine's first packet: `most`, until its model is known to be faster."""
    return budget(view.first_signs, BudgetRule(floor=min(_QUICKEST, most), ceiling=most, first=most))


def set_power(view: View, do: SetPower, now: float) -> Decision:
    if not view.attempt.orders:
        return _first_look(view, do.command)
    return _watch(view, do.command, view.attempt.orders[-1], now)


def _first_look(view: View, command: PowerCommand) -> Decision:
    """What is wanted may be so already. A restart is always an order."""
    goal, said = _GOALS.get(command), view.last(AskPower)
    if goal is None or (said is not None and said.problem is None and said.answer is not goal):
        return Tell(order=PowerOrder(command=command), why=f"telling the BMC {command.value}")
    if said is None:
        return Ask(question=AskPower(), why="asking the BMC for the power state")
    if said.problem is not None:
        return Failed(problem=said.problem)
    return Done(evidence={"power": f"{goal.value} already"})


def _watch(view: View, command: PowerCommand, sent: SentOrder, now: float) -> Decision:
    if sent.refused is not None:
        return Failed(problem=sent.refused)
    patience = _patience(view, command)
    finding, until = _finding(view, command, sent), sent.at + patience
    if command is PowerCommand.NMI:
        return Done(evidence={"power": "command accepted; an NMI leaves no trace that the appliance sees"})
    if finding.verdict is Verdict.CONFIRMED:
        return Done(evidence={"power": command.value, "seen by": finding.rung.value if finding.rung else "nobody"})
    if now >= until:
        return Failed(problem=_unproven(view, command, sent, finding, patience))
    said = view.last(AskPower)
    if said is None or now >= said.at + LOOK_EVERY:
        return Ask(question=AskPower(), why=_waiting_for(command))
    return Wait(why=_waiting_for(command), until=min(until, said.at + LOOK_EVERY))


def _patience(view: View, command: PowerCommand) -> float:
    return first_sign_patience(view, view.step.budget * 0.9) if command.boots else OFF_PATIENCE


def _waiting_for(command: PowerCommand) -> str:
    return f"told the BMC {command.value}; waiting for {'the machine itself' if command.boots else 'it'}"


def _finding(view: View, command: PowerCommand, sent: SentOrder) -> Finding:
    said = [h for h in view.heard if isinstance(h.answer, PowerState)][-1:]
    own = [Sighting(rung=Rung.BMC, power=h.answer, at=h.at) for h in said if isinstance(h.answer, PowerState)]
    return judge(command, sent.at, (*sightings(view.state), *own))


def sightings(state: MachineState) -> tuple[Sighting, ...]:
    """What the machine did by itself since it was last told to boot. A lease is renewed without a boot."""
    return tuple(
        Sighting(rung=_SHOWS[stage], power=PowerState.ON, at=at, fresh=stage != BootStage.LEASE.value)
        for stage, at in state.stages.items()
        if stage in _SHOWS
    )


def _unproven(view: View, command: PowerCommand, sent: SentOrder, finding: Finding, waited: float) -> Problem:
    if sent.problem is not None:
        return sent.problem
    said = view.last(AskPower)
    if finding.rung is None and said is not None and said.problem is not None:
        return said.problem
    match finding.verdict:
        case Verdict.UNCONFIRMED:
            message = f"the BMC accepted {command.value} but the machine itself was not seen to follow"
            action = "read its console: it may have started an operating system that asks for no address"
        case Verdict.CONTRADICTED | Verdict.CONFIRMED:
            message = f"the BMC accepted {command.value} but the power did not follow"
            action = "try force-off, then on; if that changes nothing reset the BMC or press the button"
        case _:
            assert_never(finding.verdict)
    evidence = f"watched for {waited:.0f} s; last word: {finding.rung.value if finding.rung else 'nobody'}"
    return Problem(code="power", message=message, evidence=evidence, next_action=action)

"""Starting a machine from the network: rungs of a ladder, each another way to tell its BMC."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.conductor.decision import Ask, AskPower, Decision, Failed, Tell, View, Wait
from appliance.conductor.handlers.enrol import duplicate
from appliance.conductor.handlers.power import first_sign_patience
from appliance.conductor.machine import MachineState
from appliance.conductor.runs import SentOrder
from appliance.model.bmc import BootTarget, PowerCommand, PowerState
from appliance.model.orders import BootOrder, PowerOrder, TokenOrder
from appliance.store.records import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One way to start a machine: the commands when it is off and when it is on."""

    name: str
    when_off: tuple[PowerCommand, ...]
    when_on: tuple[PowerCommand, ...]


LADDER = (
    Rung(name="start", when_off=(PowerCommand.ON,), when_on=(PowerCommand.FORCE_RESTART,)),
    Rung(
        name="cold start",
        when_off=(PowerCommand.ON,),
        when_on=(PowerCommand.FORCE_OFF, PowerCommand.ON),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """What a start has to bring, within `budget` seconds in all: what is to be seen next, and the verdict when it is
    not. `reads_token`: what is started knows what to do with a token in the BMC's drive."""

    budget: float
    reads_token: bool
    next_sign: Callable[[MachineState], str]
    silence: Callable[[MachineState], Problem]


def rungs_begun(orders: tuple[SentOrder, ...]) -> int:
    return sum(isinstance(sent.order, BootOrder) for sent in orders)


def climb(view: View, awaited: Awaited, now: float) -> Decision:
    """Where the orders of this attempt stand on the ladder: the next order, or the wait for what the last one does.

    Of two machines with one identity none is booted, and which of them was read first is chance.
    """
    if view.state.identity is not None and (problem := duplicate(view, view.state.identity)) is not None:
        return Failed(problem=problem)
    orders = view.attempt.orders
    told = (sent for sent in orders if not isinstance(sent.order, TokenOrder))  # without one it stands lower, and boots
    refused = next((sent.refused for sent in told if sent.refused is not None), None)
    if refused is not None:
        return Failed(problem=refused)
    begun = rungs_begun(orders)
    if begun == 0:
        return _prepared(view, awaited, LADDER[0])
    powered = _since_override(orders)
    if not powered or not powered[-1].order.command.boots:
        return _power(view, LADDER[begun - 1], powered)
    if not powered[-1].answered and not view.state.stages and (again := _once_more(view, LADDER[begun - 1])):
        return again
    until = powered[-1].at + _patience(view, awaited.budget)
    if now < until:
        return Wait(why=awaited.next_sign(view.state), until=until)
    if begun < len(LADDER):
        return _prepared(view, awaited, LADDER[begun])
    return Failed(problem=awaited.silence(view.state))


def _prepared(view: View, awaited: Awaited, rung: Rung) -> Decision:
    """A token for each start: an older one may be out of date before this one's agent is up."""
    last = view.attempt.orders[-1] if view.attempt.orders else None
    is_placed = last is not None and isinstance(last.order, TokenOrder) and (last.answered or last.refused is not None)
    if not (awaited.reads_token and view.tokens) or view.state.boot_nonce is None or is_placed:
        return _override(rung)
    return Tell(order=TokenOrder(), why=f"{rung.name}: putting a one-time token into the BMC's drive")


def _override(rung: Rung) -> Decision:
    return Tell(
        order=BootOrder(target=BootTarget.NETWORK), why=f"{rung.name}: telling the BMC to boot once from the network"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Powered:
    order: PowerOrder
    at: float
    answered: bool


def _since_override(orders: tuple[SentOrder, ...]) -> list[_Powered]:
    powered: list[_Powered] = []
    for sent in orders:
        match sent.order:
            case BootOrder():
                powered = []
            case PowerOrder() as order:
                powered.append(_Powered(order=order, at=sent.at, answered=sent.answered))
    return powered


def _power(view: View, rung: Rung, powered: list[_Powered]) -> Decision:
    """An off that was answered is followed by on; one whose answer we never heard is looked at again."""
    if powered and powered[-1].answered:
        return Tell(order=PowerOrder(command=PowerCommand.ON), why=f"{rung.name}: switching the machine on")
    since = max((sent.at for sent in view.attempt.orders), default=0.0)
    said = view.last(AskPower)
    if said is None or said.at < since:
        return Ask(question=AskPower(), why=f"{rung.name}: asking the BMC for the power state")
    if said.problem is not None:
        return Failed(problem=said.problem)
    command = (rung.when_off if said.answer is PowerState.OFF else rung.when_on)[0]
    return Tell(order=PowerOrder(command=command), why=f"{rung.name}: telling the BMC {command.value}")


def _once_more(view: View, rung: Rung) -> Decision | None:
    """Nobody heard whether the last power command arrived: a machine that is off did not get it."""
    said = view.last(AskPower)
    if said is None:
        return Ask(question=AskPower(), why=f"{rung.name}: asking whether the last power command arrived")
    if said.answer is not PowerState.OFF:
        return None
    return Tell(order=PowerOrder(command=PowerCommand.ON), why=f"{rung.name}: switching the machine on once more")


def _patience(view: View, budget: float) -> float:
    """On the last rung all of it: a machine that is slower than others of its model would never be known to be so."""
    whole = budget * 0.9 / len(LADDER)
    last = rungs_begun(view.attempt.orders) == len(LADDER)
    return whole if view.state.stages or last else first_sign_patience(view, whole)

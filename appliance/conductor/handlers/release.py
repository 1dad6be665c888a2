"""Taking a machine out of service: drained, and nothing of it left where machines are served."""

from appliance.conductor.decision import Ask, AskPower, AskShell, Decision, Done, Failed, Heard, Tell, View, Wait
from appliance.conductor.handlers.power import LOOK_EVERY, OFF_PATIENCE
from appliance.model.bmc import PowerCommand, PowerState
from appliance.model.orders import ForgetOrder, PowerOrder, Trace
from appliance.plan import Drain
from appliance.store.records import Problem

_AGAIN = 5.0


def drain(view: View, do: Drain, now: float) -> Decision:
    """A machine that cannot be reached has nothing left to drain; one that refuses is not taken from its users."""
    if view.state.installed is None:
        return Done(evidence={"drain": "nothing is installed"})
    heard = view.last(AskShell)
    ask = Ask(question=AskShell(user=do.user, check=do.hook), why=f"draining: {do.hook.name}")
    if heard is None:
        return ask
    if heard.problem is None:
        return _drained(do, str(heard.answer))
    if not heard.unreachable:
        return Failed(problem=heard.problem)
    if now >= view.began + view.step.budget * 0.5:
        return Done(evidence={"drain": f"not reached: {heard.problem.message}"})
    wait = Wait(why=f"draining: {heard.problem.message}", until=heard.at + _AGAIN)
    return ask if now >= heard.at + _AGAIN else wait


def _drained(do: Drain, output: str) -> Decision:
    if not do.hook.expected or output == do.hook.expected:
        return Done(evidence={"drain": output[:200] or "done"})
    problem = Problem(
        code="check-failed",
        message=f"the machine is not drained: {do.hook.name}",
        evidence=f"{' '.join(do.hook.argv)} printed {output[:200]!r}, expected {do.hook.expected!r}",
        next_action="drain it by hand, or take the hook out of the site program; then plan again",
    )
    return Failed(problem=problem)


def retire(view: View, now: float) -> Decision:
    """Off first: the log-in of its BMC is the last to go."""
    if (decision := _off(view, now)) is not None:
        return decision
    told = dict[Trace, str]()
    for sent in view.attempt.orders:
        if isinstance(sent.order, ForgetOrder) and sent.answered:
            if sent.problem is not None:
                return Failed(problem=sent.problem)
            told[sent.order.trace] = sent.shown
    for trace in Trace:
        if trace not in told:
            return Tell(order=ForgetOrder(trace=trace), why=f"forgetting its {trace.value}")
    return Done(evidence={**_power(view), **{trace.value: shown for trace, shown in told.items()}})


def _off(view: View, now: float) -> Decision | None:
    """None when it is off, or when nobody can say: a BMC that is broken keeps no machine in service."""
    said = view.last(AskPower)
    if said is None:
        return Ask(question=AskPower(), why="asking the BMC for the power state")
    if said.problem is not None or said.answer is PowerState.OFF:
        return None
    sent = next((sent for sent in view.attempt.orders if isinstance(sent.order, PowerOrder)), None)
    if sent is None:
        return Tell(order=PowerOrder(command=PowerCommand.FORCE_OFF), why="switching the machine off")
    if now >= sent.at + OFF_PATIENCE:
        return Failed(problem=_stays_on(said))
    if now >= said.at + LOOK_EVERY:
        return Ask(question=AskPower(), why="waiting for the machine to go off")
    return Wait(why="waiting for the machine to go off", until=said.at + LOOK_EVERY)


def _stays_on(said: Heard) -> Problem:
    return Problem(
        code="power",
        message="the machine does not go off",
        evidence=f"the BMC says {said.answer.value if isinstance(said.answer, PowerState) else 'nothing'}",
        next_action="press its button, then plan again",
    )


def _power(view: View) -> dict[str, str]:
    said = view.last(AskPower)
    if said is None or said.problem is not None:
        return {"power": f"not known: {said.problem.message if said and said.problem else 'not asked'}"}
    return {"power": PowerState.OFF.value}

"""The last proof: we are inside the installed system, and it is the machine that we think it is."""

from appliance.conductor.decision import Ask, AskShell, Decision, Done, Failed, Heard, View, Wait
from appliance.plan import ConfirmShell, ShellCheck
from appliance.store.records import Problem

_AGAIN = 2.0


def confirm(view: View, do: ConfirmShell, now: float) -> Decision:
    """Each check in turn. While the machine cannot be reached, tries until the step's budget ends."""
    if view.state.installed is None:
        return Failed(problem=_NOT_INSTALLED)
    evidence = {"address": str(view.state.installed.address)}
    for check in do.checks:
        heard = _answer(view, check)
        if heard is None:
            return Ask(question=AskShell(user=do.user, check=check), why=f"by SSH: {check.name}")
        if heard.problem is not None:
            return _unanswered(view, do, check, heard, heard.problem, now)
        output = str(heard.answer)
        if check.expected and output != check.expected:
            return Failed(problem=_mismatch(check, output))
        evidence[check.name] = output
    return Done(evidence=evidence)


def _answer(view: View, check: ShellCheck) -> Heard | None:
    asked = (h for h in reversed(view.heard) if isinstance(h.question, AskShell) and h.question.check == check)
    return next(asked, None)


def _unanswered(
    view: View, do: ConfirmShell, check: ShellCheck, heard: Heard, problem: Problem, now: float
) -> Decision:
    patience = view.step.budget * 0.9
    if not heard.unreachable:
        return Failed(problem=problem)
    if now > view.began + patience:
        return Failed(problem=_no_session(patience, problem))
    why = f"waiting for SSH: {problem.message}"
    if now >= heard.at + _AGAIN:
        return Ask(question=AskShell(user=do.user, check=check), why=why)
    return Wait(why=why, until=heard.at + _AGAIN)


def _no_session(patience: float, problem: Problem) -> Problem:
    return Problem(
        code="shell",
        message=f"no SSH session within {patience:.0f} s",
        evidence=problem.evidence,
        next_action="read the serial console; check sshd and the network of the installed system",
    )


_NOT_INSTALLED = Problem(
    code="not-installed",
    message="no installed system has reported from this machine",
    next_action="plan again: the installation has to come first",
)


def _mismatch(check: ShellCheck, output: str) -> Problem:
    return Problem(
        code="check-failed",
        message=f"the installed system does not pass {check.name}",
        evidence=f"{' '.join(check.argv)} printed {output[:200]!r}, expected {check.expected!r}",
        next_action="enter the machine with innervate ssh and look; then plan again",
    )

"""What every front-end does with the doctor's findings: follow them, say them, and see which stand in the way. Pure.

A failure that concerns all of the site has to be confirmed before a plan begins; one of a machine stands in the way of
that machine alone, so that the others go on. What is not known, or still being looked at, stops nobody.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

from appliance.errors import RefusedError
from appliance.model.doctor import Check, DoctorRequest, DoctorView, Finding, Verdict
from appliance.model.text import clean
from appliance.model.views import PlanView

PATIENCE = 8.0
"""Seconds that a person is kept waiting for findings before a plan."""
ANYWAY = "anyway"
"""Typed behind the name: what was found is known, and the plan is wanted all the same."""

_LONGEST_LOOK = 20.0


class Examiner(Protocol):
    """The part of `Client` that this needs."""

    def start_doctor(self, request: DoctorRequest | None = None) -> DoctorView: ...

    def doctor(self, *, seen: int = -1, wait: float = 0) -> DoctorView: ...


def followed(
    examiner: Examiner,
    view: DoctorView,
    now: Callable[[], float],
    patience: float,
    tell: Callable[[DoctorView], None] = lambda _view: None,
) -> DoctorView:
    """To the end of the examination, or for `patience` seconds; `tell` hears of each change."""
    end = now() + patience
    while view.running and (left := end - now()) > 0:
        view = examiner.doctor(seen=view.version, wait=min(left, _LONGEST_LOOK))
        tell(view)
    return view


def troubles(view: DoctorView) -> tuple[Finding, ...]:
    return tuple(finding for finding in view.findings if finding.verdict is not Verdict.OK)


def matters(view: DoctorView, plan: PlanView) -> tuple[Finding, ...]:
    """What a person should read before this plan begins."""
    machines = {step.machine for step in plan.steps}
    wanted = (Verdict.FAILURE, Verdict.WARNING)
    return tuple(one for one in view.findings if one.verdict in wanted and one.machine in (machines | {""}))


def blocking(view: DoctorView) -> tuple[Finding, ...]:
    """Failures of the whole site."""
    return unforeseen(view.findings, ())


def unforeseen(findings: Iterable[Finding], despite: Collection[Check]) -> tuple[Finding, ...]:
    """Of failures of the whole site those that nobody has accepted: what their checks find is not in `despite`."""
    failed = (one for one in findings if one.verdict is Verdict.FAILURE and not one.machine)
    return tuple(one for one in failed if one.check not in despite)


def accepted(view: DoctorView) -> tuple[Check, ...]:
    """What somebody accepts who has read these findings and begins all the same."""
    return tuple(dict.fromkeys(one.check for one in blocking(view)))


def head(finding: Finding) -> str:
    """ "failure bmc node-3: the BMC of node-3 does not let us in" """
    machine = f" {clean(finding.machine, 63)}" if finding.machine else ""
    return f"{finding.verdict.value} {finding.check.value}{machine}: {clean(finding.cause, 1000)}"


def details(finding: Finding) -> Iterator[tuple[str, str]]:
    """What was seen and what to do, each with its word."""
    for word, text in (("seen", finding.evidence), ("next", finding.next_action), ("command", finding.command)):
        if text:
            yield word, clean(text, 2000)


def told(finding: Finding) -> Iterator[str]:
    yield head(finding)
    yield from (f"  {word}: {text}" for word, text in details(finding))


def verdict(view: DoctorView) -> str:
    """ "8 ok, 2 warnings, 1 failure; still at work: images" """
    counts = {kind: sum(one.verdict is kind for one in view.findings) for kind in Verdict}
    words = [f"{count} {_counted(kind, count)}" for kind, count in counts.items() if count]
    waiting = f"; still at work: {', '.join(check.value for check in view.waiting)}" if view.waiting else ""
    return (", ".join(words) or "nothing found yet") + waiting


def _counted(kind: Verdict, count: int) -> str:
    word = kind.value.replace("-", " ")
    return f"{word}s" if kind in (Verdict.WARNING, Verdict.FAILURE) and count != 1 else word


def refuse(findings: Iterable[Finding], despite: Collection[Check]) -> None:
    """Raises `RefusedError` where something stands in the way that was not accepted."""
    if found := unforeseen(findings, despite):
        checks = ", ".join(f'"{check.value}"' for check in dict.fromkeys(one.check for one in found))
        raise RefusedError(
            f"not applied: {found[0].cause}",
            evidence="; ".join(filter(None, (head(found[0]), found[0].evidence, *(map(head, found[1:]))))),
            next_action=f"{found[0].next_action}; or begin all the same: --despite-findings, by the API "
            f'"despite": [{checks}]',
        )


def in_the_way(found: tuple[Finding, ...]) -> str:
    """For whoever is asked."""
    stands = "A failure of the site stands" if len(found) == 1 else f"{len(found)} failures of the site stand"
    return f"{stands} in the way: type the name and the word {ANYWAY} to begin all the same."


def demand(name: str, view: DoctorView) -> str:
    """What has to be typed to begin: the name, and one word more where something stands in the way."""
    return f"{name} {ANYWAY}" if blocking(view) else name

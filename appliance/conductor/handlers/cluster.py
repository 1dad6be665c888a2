"""A step towards a cluster: look whether it is so already, order it once, look until it is."""

from typing import assert_never

from appliance.conductor.decision import (
    Ask,
    AskCluster,
    ClusterSight,
    Decision,
    Done,
    Failed,
    Progress,
    Tell,
    View,
    Wait,
)
from appliance.conductor.runs import SentOrder
from appliance.model.okd import OkdAction
from appliance.model.orders import ClusterOrder
from appliance.store.records import Problem

_LOOK_EVERY = 2.0
_BEGINS_WITHIN = 30.0
_ORDERS = 3
_PATIENCE = 0.9
"""Of the step's budget, for what cannot be reached yet."""


def cluster_step(view: View, now: float) -> Decision:
    if view.state.installed is None and not isinstance(view.step.do, OkdAction):  # those may come before anything is
        return Failed(problem=_NOT_INSTALLED)
    heard = view.last(AskCluster)
    if heard is None:
        return Ask(question=AskCluster(), why="looking how far it is")
    if heard.problem is not None:
        gives_up = not heard.unreachable or now > view.began + view.step.budget * _PATIENCE
        return Failed(problem=heard.problem) if gives_up else _again(heard.at, heard.problem.message, now)
    assert isinstance(heard.answer, ClusterSight)  # noqa: S101  what this question is answered with
    return _on(view, heard.answer, heard.at, now)


def _on(view: View, sight: ClusterSight, seen: float, now: float) -> Decision:
    sent = _sent(view)
    match sight.progress:
        case Progress.DONE:
            return Done(evidence=sight.evidence)
        case Progress.AT_WORK:
            return _again(seen, sight.words, now)
        case Progress.FAILED:
            if sent is None or seen <= sent.at:  # of an earlier attempt: the order comes after it
                return _told(view, sent, seen, sight.words, now)
            return Failed(problem=sight.problem or _unexplained(sight))
        case Progress.NOT_BEGUN:
            return _told(view, sent, seen, sight.words, now)
        case _:
            assert_never(sight.progress)


def _told(view: View, sent: SentOrder | None, seen: float, words: str, now: float) -> Decision:
    """Ordered once more where it was refused, where the appliance did not live to see the answer, and where nothing
    shows of it: a machine that lost its power has forgotten it."""
    if sent is None:
        return Tell(order=ClusterOrder(), why=words)
    wait = _LOOK_EVERY if sent.problem is not None else _BEGINS_WITHIN if sent.answered else 0.0
    why = sent.problem.message if sent.problem is not None else words
    if now < sent.at + wait or seen <= sent.at:
        return _again(seen, why, now)
    if len(view.attempt.orders) >= _ORDERS:
        return Failed(problem=sent.problem or _not_begun(words))
    return Tell(order=ClusterOrder(), why=why)


def _sent(view: View) -> SentOrder | None:
    return next((sent for sent in reversed(view.attempt.orders) if isinstance(sent.order, ClusterOrder)), None)


def _again(seen: float, why: str, now: float) -> Decision:
    if now >= seen + _LOOK_EVERY:
        return Ask(question=AskCluster(), why=why)
    return Wait(why=why, until=seen + _LOOK_EVERY)


_NOT_INSTALLED = Problem(
    code="not-installed",
    message="no installed system has reported from this machine",
    next_action="plan again: the installation has to come first",
)


def _unexplained(sight: ClusterSight) -> Problem:
    return Problem(
        code="cluster",
        message="the step failed on the machine, which does not say why",
        evidence=sight.words,
        next_action="enter the machine with innervate ssh and look; then plan again",
    )


def _not_begun(words: str) -> Problem:
    return Problem(
        code="cluster",
        message=f"the machine took the order {_ORDERS} times and shows nothing of it",
        evidence=words,
        next_action="enter the machine with innervate ssh and look at its journal; then plan again",
    )

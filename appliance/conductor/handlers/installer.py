"""An installer of the OS itself: booted, let at the disk, followed by what it says until it is done."""

from dataclasses import replace
from typing import assert_never

from appliance.conductor.decision import Ask, AskConsole, Decision, Done, Failed, View, Wait
from appliance.conductor.handlers.ladder import Awaited, climb
from appliance.conductor.handlers.signs import firmware_sign, signs, where_to_look
from appliance.conductor.installing import Installing
from appliance.conductor.machine import MachineState
from appliance.plan import AnswerKind
from appliance.store.records import Problem

_START_SECONDS = 1800.0
_SILENCE = 900.0
"""It says something each minute as long as it moves."""


def run_installer(view: View, now: float) -> Decision:
    """It said itself, under the nonce of this boot, that it is done. One that falls silent is started anew once."""
    installer = view.state.installer
    if installer is not None and installer.done:
        return Done(evidence={"installer": installer.word, "nonce": installer.nonce[:8]})
    if installer is not None and installer.failed:
        return Failed(problem=_failed(view.state, installer))
    if installer is not None and _speaks(view, installer) and now < (until := installer.heard + _SILENCE):
        return Wait(why=f"the installer works; its last word: {installer.word}", until=until)
    budget = min(view.step.budget, _START_SECONDS)
    decision = climb(view, Awaited(budget=budget, reads_token=False, next_sign=_next_sign, silence=_silence), now)
    return _with_console(view, decision.problem) if isinstance(decision, Failed) else decision


def _with_console(view: View, problem: Problem) -> Decision:
    """Of one that says nothing the console is the only witness."""
    said = view.last(AskConsole)
    if problem.code != "installer-silent" or (said is not None and not said.answer):
        return Failed(problem=problem)
    if said is None:
        return Ask(question=AskConsole(), why="reading what its serial console said last")
    evidence = f"{problem.evidence}; its console said last: {said.answer}"
    return Failed(problem=replace(problem, evidence=evidence))


def _speaks(view: View, installer: Installing) -> bool:
    """Since it was last told to start."""
    return installer.heard > max((sent.at for sent in view.attempt.orders), default=0.0)


def _next_sign(state: MachineState) -> str:
    if "script" in state.stages:
        return "boot script served; waiting for the installer to fetch its answers"
    return firmware_sign(state)


def _silence(state: MachineState) -> Problem:
    installer = state.installer
    if installer is None or not installer.heard:
        return Problem(
            code="installer-silent",
            message="the machine was started but its installer never asked for its answers",
            evidence=f"seen since power-on: {signs(state)}",
            next_action=where_to_look(state),
        )
    return Problem(
        code="installer-silent",
        message=f"the installer hangs: it has not moved for {_SILENCE:.0f} s, and not gone further when started anew",
        evidence=f"its last word: {installer.word}",
        next_action=f"read its log, {state.name}.log in the folder logs of the state folder, and its console",
    )


def _failed(state: MachineState, installer: Installing) -> Problem:
    return Problem(
        code="installer-failed",
        message=_gave_up(installer),
        evidence=installer.failed,
        next_action=f"read its log, {state.name}.log in the folder logs of the state folder; then plan again",
    )


def _gave_up(installer: Installing) -> str:
    match installer.do.installer.answers:
        case AnswerKind.IGNITION:
            return "Ignition could not configure the machine, so it was not started"
        case AnswerKind.PRESEED | AnswerKind.SCOS if installer.granted:
            return "the installer gave up"
        case AnswerKind.PRESEED | AnswerKind.SCOS:
            return "the installer was not let at the disk, or gave up"
        case _:
            assert_never(installer.do.installer.answers)

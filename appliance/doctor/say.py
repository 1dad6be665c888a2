"""Findings in short. Whatever came from outside is cleaned here, once."""

from appliance.model.doctor import Check, Finding, Verdict
from appliance.model.text import clean

_SENTENCE = 400
_EVIDENCE = 1000


def _finding(
    verdict: Verdict, check: Check, cause: str, evidence: str, action: str, command: str, machine: str
) -> Finding:
    return Finding(
        check=check,
        verdict=verdict,
        cause=clean(cause, _SENTENCE),
        evidence=clean(evidence, _EVIDENCE),
        next_action=clean(action, _SENTENCE),
        command=clean(command, _SENTENCE),
        machine=machine,
    )


def good(check: Check, says: str, evidence: str = "") -> Finding:
    return _finding(Verdict.OK, check, says, evidence, "", "", "")


def warning(
    check: Check, cause: str, evidence: str = "", action: str = "", command: str = "", machine: str = ""
) -> Finding:
    return _finding(Verdict.WARNING, check, cause, evidence, action, command, machine)


def failure(
    check: Check, cause: str, evidence: str = "", action: str = "", command: str = "", machine: str = ""
) -> Finding:
    return _finding(Verdict.FAILURE, check, cause, evidence, action, command, machine)


def unknown(
    check: Check, cause: str, evidence: str = "", action: str = "", command: str = "", machine: str = ""
) -> Finding:
    return _finding(Verdict.UNKNOWN, check, cause, evidence, action, command, machine)

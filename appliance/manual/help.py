"""Which place of the documentation helps with what a page shows. Pure; a test looks that each is there."""

import re

from appliance.manual.page import ROOT
from appliance.model.phase import Condition, ConditionKind

STUCK = f"{ROOT}/stuck"

_CODE = re.compile(r"[a-z]+(?:-[a-z]+)*")

_CONDITIONS: dict[ConditionKind, str] = {
    ConditionKind.HOLD: "held",
    ConditionKind.FAILED: "a-step-failed",
    ConditionKind.STUCK: "longer-in-its-phase-than-meant",
    ConditionKind.DEGRADED: "degraded",
    ConditionKind.UNREACHABLE: "active-and-silent",
}

_STAGES: dict[str, str] = {
    "dhcp": "no-dhcp-request",
    "tftp": "dhcp-and-no-boot-program",
    "script": "boot-program-and-no-boot-script",
    "hello": "boot-script-and-no-agent",
    "written": "disk-refused-or-not-written",
    "first_boot": "written-and-no-report",
    "ssh": "installed-and-no-ssh",
}

_SEGMENT: dict[str, str] = {
    "dhcp-standing": "another-dhcp-server",
    "rival-server": "another-dhcp-server",
    "pool": "no-address-is-free",
}


def of_code(code: str) -> str:
    """That of all codes for what is none: a daemon of another version may say anything."""
    return f"{ROOT}/errors/{code}" if _CODE.fullmatch(code) else f"{ROOT}/errors"


def of_condition(condition: Condition) -> str:
    """The page of its code, where it has one."""
    return of_code(condition.code) if condition.code else f"{STUCK}#{_CONDITIONS[condition.kind]}"


def of_stage(stage: str) -> str:
    return f"{STUCK}#{_STAGES[stage]}" if stage in _STAGES else STUCK


def of_segment(kind: str) -> str:
    return f"{STUCK}#{_SEGMENT[kind]}" if kind in _SEGMENT else STUCK

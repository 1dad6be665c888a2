"""Distinct id types: one kind cannot be passed where another is wanted."""

import re
from typing import NewType

from appliance.errors import UsageError

MachineName = NewType("MachineName", str)
ImageName = NewType("ImageName", str)
StepId = NewType("StepId", str)
PlanDigest = NewType("PlanDigest", str)
RunId = NewType("RunId", str)
GoalId = NewType("GoalId", str)
Nonce = NewType("Nonce", str)
Fence = NewType("Fence", int)

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def machine_name(text: str) -> MachineName:
    """A machine's name is one DNS label (RFC 1123 section 2.1), because it becomes its host name."""
    if not _LABEL.fullmatch(text):
        raise UsageError(
            f"{text[:70]!r} cannot be a machine name",
            next_action="use lower-case letters, digits and dashes, at most 63 characters",
        )
    return MachineName(text)

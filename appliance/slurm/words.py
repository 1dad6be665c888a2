"""What Slurm's programs print, read as values. Pure; whatever it says is text from elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.model.text import clean

_FIELD = re.compile(r"(?:^| )(NodeName|State|NodeAddr|Version)=(\S+)")
_REASON = re.compile(r" Reason=(.*?)(?: \[\S+\])?(?: Comment=.*)?$")
_OUT = frozenset({"DOWN", "DRAIN", "FAIL", "FAILING", "INVALID_REG", "NOT_RESPONDING", "UNKNOWN", "FUTURE", "INVAL"})
_WORKING = frozenset({"ALLOCATED", "MIXED", "COMPLETING"})
_PING = re.compile(r"Slurmctld\([^)]*\) at (\S+) is (UP|DOWN)")
_NODES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeWord:
    """`states` are the words of scontrol(1), NODE STATES: a state and its flags; `reason` is of who took it out."""

    name: str
    address: str
    version: str
    states: frozenset[str]
    reason: str

    @property
    def drained(self) -> bool:
        """It takes no job, and none runs there any more: of a node that has not come since the controller was started,
        that is not known."""
        return "DOWN" in self.states or ({"DRAIN", "IDLE"} <= self.states and not self.works)

    @property
    def works(self) -> bool:
        return bool(self.states & _WORKING)

    @property
    def idle(self) -> bool:
        return "IDLE" in self.states and not self.states & (_OUT | _WORKING)

    @property
    def lacks(self) -> str:
        """ "" where it takes jobs or works on some, else what is in the way."""
        if not (out := sorted(self.states & _OUT)):
            return ""
        return f"{self.name} is {' '.join(out).lower()}{f': {self.reason}' if self.reason else ''}"


def nodes(text: str) -> Mapping[str, NodeWord]:
    """By name, of `scontrol --oneliner show nodes`."""
    found = [_node(line) for line in text.splitlines()[:_NODES]]
    return {one.name: one for one in found if one.name}


def _node(line: str) -> NodeWord:
    fields, reason = dict(_FIELD.findall(line)), _REASON.search(line.rstrip())
    words = re.split(r"\+|(?=\*)", fields.get("State", "UNKNOWN"))
    return NodeWord(
        name=clean(fields.get("NodeName", ""), 64),
        address=clean(fields.get("NodeAddr", ""), 64),
        version=clean(fields.get("Version", ""), 40),
        states=frozenset("NOT_RESPONDING" if word == "*" else re.sub(r"[^A-Z_]", "", word) for word in words),
        reason=clean(reason[1], 120) if reason is not None else "",
    )


def silent(text: str) -> tuple[str, ...]:
    """Names of controllers that do not answer, of `scontrol ping`; a text that names none is one that nobody gave."""
    found = _PING.findall(text)
    return tuple(clean(name, 64) for name, state in found if state == "DOWN") if found else ("slurmctld",)


def answers(text: str) -> Mapping[str, str]:
    """By host name, the SHA-256 of the configuration that the node has: what `engine.try_nodes` printed."""
    rows = (line.split() for line in text.splitlines()[:_NODES])
    return {clean(row[0], 64): row[1][:64] for row in rows if len(row) >= 2}

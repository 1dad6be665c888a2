"""The result of an acceptance: what was looked at, what came of it, and whose work it was. Pure."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """`said` is one sentence: what was seen, or what was wrong."""

    name: str
    passed: bool
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`files` are the SHA-256 of the set's files by role: with them a release gets into the catalogue. `standing` says
    whose work the set is, `made` when (seconds since the epoch). No name of a site and no secret is in it."""

    engine: str
    version: str
    provenance: str
    standing: str
    appliance: str
    made: float
    files: dict[str, str]
    assertions: tuple[Assertion, ...]

    @property
    def passed(self) -> bool:
        return all(one.passed for one in self.assertions)

    def to_json(self) -> bytes:
        when = datetime.fromtimestamp(self.made, UTC).isoformat(timespec="seconds")
        return json.dumps({**asdict(self), "made": when, "passed": self.passed}, indent=1).encode() + b"\n"

    @property
    def comment(self) -> str:
        """What a signature says of it, and is signed with it."""
        verdict = "passed" if self.passed else "failed"
        return f"innervate accept {self.engine} {self.version}: {verdict}, {self.provenance}"

    @property
    def lines(self) -> tuple[str, ...]:
        """For people."""
        marks = {True: "ok", False: "FAILED"}
        shown = (f"{marks[one.passed]:6} {one.name}: {one.said}" for one in self.assertions)
        return (f"{self.engine} {self.version}, {self.standing}", *shown, self.comment)

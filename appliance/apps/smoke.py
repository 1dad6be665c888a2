"""The test by which a version is believed: one question by HTTP to a Service of its own. Pure."""

import json
import re
from dataclasses import dataclass

from appliance.errors import UsageError
from appliance.model.text import clean

_PATH = re.compile(r"/[!-~]{0,500}")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeTest:
    """The Service has to answer `path` with `status`, and with a text that contains `contains`."""

    service: str
    port: int
    path: str = "/"
    status: int = 200
    contains: str = ""

    def __post_init__(self) -> None:
        whole = _LABEL.fullmatch(self.service) and _PATH.fullmatch(self.path)
        if not whole or not 1 <= self.port <= 65535 or not 100 <= self.status <= 599:
            raise _malformed(repr(self))


def read(raw: bytes) -> SmokeTest:
    """Raises `UsageError`."""
    try:
        value: object = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _malformed(str(error)) from error
    match value:
        case {"service": str(service), "port": int(port), **rest} if set(rest) <= {"path", "status", "contains"}:
            path, status, contains = rest.get("path", "/"), rest.get("status", 200), rest.get("contains", "")
            if isinstance(path, str) and isinstance(status, int) and isinstance(contains, str):
                return SmokeTest(service=service, port=port, path=path, status=status, contains=contains)
    raise _malformed(str(value))


def lacks(test: SmokeTest, status: int, answer: bytes) -> str:
    """Why the answer is not the wanted one, "" where it is."""
    if status != test.status:
        return f"{test.service}{test.path} answers {status} where {test.status} is wanted"
    text = answer.decode(errors="replace")
    if test.contains not in text:
        return f"{test.service}{test.path} answers {clean(text, 80)!r}, without {clean(test.contains, 80)!r} in it"
    return ""


def _malformed(evidence: str) -> UsageError:
    return UsageError(
        "the smoke test of the package is malformed",
        evidence=evidence[:200],
        next_action="package the application again: innervate package build",
    )

"""Strict reading of JSON from the other side of the wire: sizes, depth and kinds are all bounded."""

import json
import re
from collections.abc import Sequence
from dataclasses import fields
from typing import NoReturn, TypeAlias

from .errors import ProtocolError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_INTEGER = 2**63 - 1
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PATH = re.compile(r"/[!-~]{0,1023}")


def parse_json(data: bytes, *, limit: int, depth: int = 64) -> Json:
    """UTF-8 JSON of at most `limit` bytes nested at most `depth` deep; raises ProtocolError only."""
    if len(data) > limit:
        raise ProtocolError(f"JSON of {len(data)} bytes", evidence=f"at most {limit} are read")
    try:
        value: Json = _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not JSON", evidence=f"{type(error).__name__}: {error}"[:200]) from error
    if data.count(b"[") + data.count(b"{") > depth or b"\\u" in data:  # else it can be neither too deep nor no text
        _check(value, depth)
    return value


def write_json(message: object) -> bytes:
    """A dataclass of dataclasses, sequences and scalars, without a blank. (`asdict` would copy all of it first.)"""
    return json.dumps(message, separators=(",", ":"), default=_fields_of).encode()


def _fields_of(value: object) -> dict[str, object]:
    return {field.name: getattr(value, field.name) for field in fields(value)}  # type: ignore[arg-type]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _check(value: Json, depth: int) -> None:
    if depth < 0:
        raise ProtocolError("JSON nested too deep")
    match value:
        case str():
            _check_text(value)
        case list():
            for item in value:
                _check(item, depth - 1)
        case dict():
            for key, item in value.items():
                _check_text(key)
                _check(item, depth - 1)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:  # JSON can spell a lone surrogate; no file or socket takes it
        raise ProtocolError("text that is not Unicode", evidence=ascii(text)[:100]) from error


class Fields:
    """One JSON object; every reader refuses, by name, a field of the wrong kind or size."""

    def __init__(self, value: Json, where: str) -> None:
        if not isinstance(value, dict):
            raise ProtocolError(f"{where} is not an object", evidence=repr(value)[:100])
        self._values = value
        self._where = where

    def only(self, *names: str) -> "Fields":
        """Refuses other fields: one we do not know could change what the rest means."""
        if unknown := sorted(self._values.keys() - set(names)):
            raise ProtocolError(f"{self._where} has unknown fields", evidence=", ".join(unknown)[:200])
        return self

    def json(self, name: str) -> Json:
        if name not in self._values:
            raise ProtocolError(f"{self._where}.{name} is missing")
        return self._values[name]

    def has(self, name: str) -> bool:
        return name in self._values

    def is_null(self, name: str) -> bool:
        return self.json(name) is None

    def text(self, name: str, *, limit: int = 1024) -> str:
        value = self.json(name)
        return self._text(name, value, limit)

    def texts(self, name: str, *, limit: int = 1024, count: int = 256) -> tuple[str, ...]:
        return tuple(self._text(name, value, limit) for value in self.items(name, count=count))

    def text_or_empty(self, name: str) -> str:
        """A text, where null stands for one that is not known."""
        return "" if self.is_null(name) else self.text(name)

    def sha256(self, name: str) -> str:
        return self._matching(name, _SHA256, "64 lower-case hex digits")

    def path(self, name: str) -> str:
        return self._matching(name, _PATH, "an absolute URL path")

    def choice(self, name: str, choices: Sequence[str]) -> str:
        if (value := self.text(name)) not in choices:
            raise self._bad(name, value, f"one of {', '.join(choices)}")
        return value

    def number(self, name: str, *, low: int = 0, high: int = MAX_INTEGER) -> int:
        value = self.json(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._bad(name, value, f"an integer in {low}..{high}")
        return value

    def seconds(self, name: str) -> float:
        value = self.json(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 86400:
            raise self._bad(name, value, "seconds in 0..86400")
        return float(value)

    def flag(self, name: str) -> bool:
        value = self.json(name)
        if not isinstance(value, bool):
            raise self._bad(name, value, "true or false")
        return value

    def child(self, name: str) -> "Fields":
        return Fields(self.json(name), f"{self._where}.{name}")

    def children(self, name: str, *, count: int = 256) -> list["Fields"]:
        return [Fields(item, f"{self._where}.{name}[]") for item in self.items(name, count=count)]

    def items(self, name: str, *, count: int) -> list[Json]:
        value = self.json(name)
        if not isinstance(value, list) or len(value) > count:
            raise self._bad(name, value, f"a list of at most {count}")
        return value

    def table(self, name: str, *, count: int = 64) -> dict[str, Json]:
        value = self.json(name)
        if not isinstance(value, dict) or len(value) > count:
            raise self._bad(name, value, f"an object of at most {count} fields")
        return value

    def _text(self, name: str, value: Json, limit: int) -> str:
        if not isinstance(value, str) or len(value) > limit:
            raise self._bad(name, value, f"text of at most {limit} characters")
        return value

    def _matching(self, name: str, pattern: re.Pattern[str], meaning: str) -> str:
        value = self.text(name)
        if not pattern.fullmatch(value):
            raise self._bad(name, value, meaning)
        return value

    def _bad(self, name: str, value: Json, wanted: str) -> ProtocolError:
        return ProtocolError(f"{self._where}.{name} is not {wanted}", evidence=repr(value)[:100])

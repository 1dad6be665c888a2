"""The one JSON codec for our values: pydantic reads the dataclasses' own annotations."""

import hashlib
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from appliance.errors import UsageError

T = TypeVar("T")


@cache
def _adapter(kind: type[object]) -> TypeAdapter[object]:
    return TypeAdapter(kind)


@cache
def _writer(kind: type[object]) -> Callable[[object], bytes]:
    """The compiled serializer itself: `dump_json` looks at its many options first, which takes twice as long."""
    return _adapter(kind).serializer.to_json  # type: ignore[arg-type]  # a type hashes


def to_json(value: object) -> bytes:
    """Canonical for a given value: fields in the order of their definition, no blanks."""
    return _writer(type(value))(value)  # type: ignore[arg-type]  # a type hashes


def etag_of(value: object) -> str:
    """The entity tag (RFC 9110 section 8.8.3) of what a GET shows of the value: equal is what looks equal."""
    return tag_of(to_json(value))


def tag_of(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def from_json(kind: type[T], data: bytes | str) -> T:
    """`kind` is one of our dataclasses. Raises `UsageError` naming the first field that does not fit."""
    try:
        value = _adapter(kind).validate_json(data)  # type: ignore[arg-type]  # a type hashes
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise UsageError(f"{where}: {first['msg']}", next_action=f"send a {kind.__name__} document") from error
    assert isinstance(value, kind)  # noqa: S101  pydantic validated it; this tells the type checker
    return value

"""JSON, as values: what is rendered, and what a client sends within bounds."""

import json
from collections.abc import Mapping, Sequence

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
JsonObject = Mapping[str, Json]

MAX_DEPTH = 16


class DocumentError(ValueError):
    """The bytes are no JSON object, or a hostile one."""


def parse_object(body: bytes) -> JsonObject:
    """Raises `DocumentError`; NaN and the infinities are no JSON (RFC 8259 section 6)."""
    try:
        value: Json = json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise DocumentError("not JSON") from error
    if not isinstance(value, dict):
        raise DocumentError("not a JSON object")
    if _deeper_than(value, MAX_DEPTH):
        raise DocumentError("too deep")
    return value


def render(document: JsonObject) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode("ascii")


def items(value: Json) -> Sequence[Json]:
    """The elements of an array; none for anything else, and a text is no array."""
    return value if isinstance(value, list | tuple) else ()


def _refuse(constant: str) -> Json:
    raise DocumentError(constant)


def _deeper_than(value: Json, levels: int) -> bool:
    children = value.values() if isinstance(value, Mapping) else items(value)
    return levels < 0 or any(_deeper_than(child, levels - 1) for child in children)

"""Query parameters of GET (DSP0266 section 7.3): parsed, and applied to rendered documents. Pure.

An unsupported parameter that starts with "$" is answered with 501, any other unknown one is ignored.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import parse_qsl

from appliance.redfish.document import Json, JsonObject, items
from appliance.redfish.errors import refuse
from appliance.redfish.messages import MessageId, say

MAX_LEVELS = 4
PAGE = 500
_EXPAND = re.compile(r"([.~*])(?:\(\$levels=([0-9]{1,4})\))?")
_SELECT = re.compile(r"[A-Za-z0-9@._#-]+(?:/[A-Za-z0-9@._#-]+)*")
_NUMBER = re.compile(r"[0-9]{1,9}")
_MAX_PARAMETERS = 16


class Reach(Enum):
    """Which hyperlinks $expand follows: those outside Links, those within, or both."""

    SUBORDINATE = "."
    LINKS = "~"
    ALL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expand:
    reach: Reach
    levels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """`top` is None where all members are wanted; `select` is empty where all properties are."""

    expand: Expand | None = None
    select: tuple[tuple[str, ...], ...] = ()
    top: int | None = None
    skip: int = 0
    only: bool = False

    @property
    def for_collections(self) -> bool:
        return self.only or self.top is not None or self.skip > 0


def parse_query(text: str) -> Query:
    """`text` as after the "?". Raises `RequestError` (400 or 501)."""
    try:
        pairs = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PARAMETERS))
    except ValueError as error:
        raise refuse(400, say(MessageId.QUERY_FORMAT, text, "query")) from error
    for name in pairs:
        if name.startswith("$") and name not in ("$expand", "$select", "$top", "$skip"):
            raise refuse(501, say(MessageId.QUERY_NOT_SUPPORTED, name))
    if "only" in pairs and pairs.keys() & {"$expand", "$select", "$top", "$skip"}:
        raise refuse(400, say(MessageId.QUERY_COMBINATION))
    if pairs.get("only"):
        raise refuse(400, say(MessageId.QUERY_FORMAT, pairs["only"], "only"))
    return Query(
        expand=_expand(pairs["$expand"]) if "$expand" in pairs else None,
        select=_select(pairs["$select"]) if "$select" in pairs else (),
        top=_number("$top", pairs["$top"]) if "$top" in pairs else None,
        skip=_number("$skip", pairs["$skip"]) if "$skip" in pairs else 0,
        only="only" in pairs,
    )


def _expand(value: str) -> Expand:
    match = _EXPAND.fullmatch(value)
    if match is None:
        raise refuse(400, say(MessageId.QUERY_FORMAT, value, "$expand"))
    levels = int(match[2] or 1)
    if not 1 <= levels <= MAX_LEVELS:
        raise refuse(400, say(MessageId.QUERY_RANGE, value, "$expand", f"1-{MAX_LEVELS}"))
    return Expand(reach=Reach(match[1]), levels=levels)


def _select(value: str) -> tuple[tuple[str, ...], ...]:
    names = value.split(",")
    if any(_SELECT.fullmatch(name) is None for name in names):
        raise refuse(400, say(MessageId.QUERY_FORMAT, value, "$select"))
    return tuple(tuple(name.split("/")) for name in names)


def _number(name: str, value: str) -> int:
    if _NUMBER.fullmatch(value) is None:
        raise refuse(400, say(MessageId.QUERY_FORMAT, value, name))
    return int(value)


def page(collection: JsonObject, query: Query) -> JsonObject:
    """`$skip`, `$top`, and a link to the next page where the service cuts a long answer (DSP0266 section 7.3.4)."""
    members = items(collection.get("Members"))
    rest = members[query.skip :]
    wanted = rest if query.top is None else rest[: query.top]
    shown = wanted[:PAGE]
    following: JsonObject = {}
    if len(wanted) > PAGE:
        left = "" if query.top is None else f"&$top={query.top - PAGE}"
        following = {"Members@odata.nextLink": f"{collection['@odata.id']}?$skip={query.skip + PAGE}{left}"}
    return {**collection, "Members": shown, **following}


def select(document: JsonObject, query: Query) -> JsonObject:
    """The chosen properties; of a collection, those of its expanded members."""
    if not query.select:
        return document
    if "Members" in document:
        members = tuple(_chosen_member(member, query) for member in items(document["Members"]))
        return {**document, "Members": members}
    return _chosen(document, query.select)


def _chosen_member(member: Json, query: Query) -> Json:
    return _chosen(member, query.select) if isinstance(member, Mapping) else member


def _chosen(document: JsonObject, paths: tuple[tuple[str, ...], ...]) -> JsonObject:
    found: dict[str, Json] = {key: value for key, value in document.items() if key.startswith("@odata.")}
    for name in dict.fromkeys(path[0] for path in paths):
        deeper = tuple(path[1:] for path in paths if path[0] == name and len(path) > 1)
        whole = any(path == (name,) for path in paths)
        if name in document:
            value = document[name]
            found[name] = _chosen(value, deeper) if isinstance(value, Mapping) and not whole else value
    return found

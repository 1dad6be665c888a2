"""$expand (DSP0266 section 7.3.6): hyperlinks replaced by what they lead to."""

from collections.abc import Awaitable, Callable, Mapping

from appliance.redfish.document import Json, JsonObject
from appliance.redfish.errors import ServiceError
from appliance.redfish.query import Reach
from appliance.redfish.router import Kind, Resource, route

MAX_EXPANDED = 1000
_DOCUMENTLESS = (Kind.METADATA, Kind.EVENTS)


class Expander:
    """For one request. A link stays a link where the reader may not follow it, where the target fails, where it leads
    back, and once `MAX_EXPANDED` resources have been read."""

    def __init__(
        self, read: Callable[[Resource], Awaitable[JsonObject]], may_read: Callable[[Resource], bool], reach: Reach
    ) -> None:
        self._read = read
        self._may_read = may_read
        self._reach = reach
        self._left = MAX_EXPANDED

    async def expand(self, document: JsonObject, levels: int) -> JsonObject:
        seen = frozenset({str(document.get("@odata.id"))})
        return await self._object(document, levels, seen, inside_links=False)

    async def _object(self, value: JsonObject, levels: int, seen: frozenset[str], *, inside_links: bool) -> JsonObject:
        result: dict[str, Json] = {}
        for name, child in value.items():
            inside = inside_links or name == "Links"
            result[name] = await self._value(child, levels, seen, inside_links=inside)
        return result

    async def _value(self, value: Json, levels: int, seen: frozenset[str], *, inside_links: bool) -> Json:
        if isinstance(value, list | tuple):
            return [await self._value(child, levels, seen, inside_links=inside_links) for child in value]
        if not isinstance(value, Mapping):
            return value
        target = _target(value)
        if target is None:
            return await self._object(value, levels, seen, inside_links=inside_links)
        wanted = self._reach is Reach.ALL or inside_links == (self._reach is Reach.LINKS)
        return await self._follow(value, target, levels, seen) if wanted else value

    async def _follow(self, value: JsonObject, target: Resource, levels: int, seen: frozenset[str]) -> JsonObject:
        if self._left <= 0 or target.uri in seen or not self._may_read(target):
            return value
        self._left -= 1
        try:
            document = await self._read(target)
        except ServiceError:
            return value
        if levels <= 1:
            return document
        return await self._object(document, levels - 1, seen | {target.uri}, inside_links=False)


def _target(value: JsonObject) -> Resource | None:
    uri = value.get("@odata.id")
    if len(value) != 1 or not isinstance(uri, str):
        return None
    target = route(uri)
    return target if isinstance(target, Resource) and target.kind not in _DOCUMENTLESS else None

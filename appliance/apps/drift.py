"""What others have changed of an object, by the cluster's own word on what it would become. Pure."""

from collections.abc import Iterator

from appliance.apps.manifests import is_object
from appliance.model.text import clean

_CHANGING = frozenset({"managedFields", "resourceVersion", "generation"})
_SHOWN = 3


def differences(live: object, wanted: object) -> str:
    """`wanted` is what the cluster would make of `live` if it were told again. "" for none, else where they are."""
    paths = list(_paths(_plain(live), _plain(wanted), ""))
    more = f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else ""
    return clean(", ".join(paths[:_SHOWN]) + more, 200)


def _plain(value: object) -> object:
    """Without what changes by itself."""
    if not is_object(value):
        return value
    metadata = value.get("metadata")
    kept = {name: one for name, one in metadata.items() if name not in _CHANGING} if is_object(metadata) else metadata
    return {name: one for name, one in value.items() if name not in ("metadata", "status")} | {"metadata": kept}


def _paths(one: object, other: object, here: str) -> Iterator[str]:
    if is_object(one) and is_object(other):
        for name in sorted({*one, *other}):
            yield from _paths(one.get(name), other.get(name), f"{here}.{name}" if here else name)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from _paths(*pair, f"{here}[{number}]")
    elif one != other:
        yield here or "all of it"

"""Entity tags and preconditions (DSP0266 section 6.5; RFC 9110 section 13). Pure."""

import hashlib
import json
import re

from appliance.redfish.document import JsonObject

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_TAGS = re.compile(rf"\s*{_TAG.pattern}(?:\s*,\s*{_TAG.pattern})*\s*")
# What runs by itself is no change: a client that read the clock may still write the rest.
_RUNNING = ("DateTime",)
_DIGITS = 24


def etag_of(document: JsonObject) -> str:
    """A strong tag: the same content has the same tag, whoever renders it."""
    still = {key: value for key, value in document.items() if key not in _RUNNING}
    digest = hashlib.sha256(json.dumps(still, sort_keys=True).encode())
    return f'"{digest.hexdigest()[:_DIGITS]}"'


def with_etag(document: JsonObject) -> JsonObject:
    return {**document, "@odata.etag": etag_of(document)}


def may_change(if_match: str | None, etag: str) -> bool:
    """If-Match, by strong comparison; absent means yes, nonsense means no."""
    return if_match is None or if_match.strip() == "*" or etag in _tags(if_match)


def is_unchanged(if_none_match: str | None, etag: str) -> bool:
    """If-None-Match, by weak comparison."""
    if if_none_match is None:
        return False
    tags = (tag.removeprefix("W/") for tag in _tags(if_none_match))
    return if_none_match.strip() == "*" or etag in tags


def _tags(header: str) -> list[str]:
    """None of a header that is no list of tags as a whole."""
    return _TAG.findall(header) if _TAGS.fullmatch(header) else []

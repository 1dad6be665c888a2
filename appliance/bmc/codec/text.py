"""Text from hardware that is safe to show and store. Pure."""

import unicodedata

MAX_TEXT = 128


def clean(value: object, limit: int = MAX_TEXT) -> str:
    """No control or formatting characters, `limit` characters at most; "" for what is no text."""
    if not isinstance(value, str):
        return ""
    bounded = value[: limit * 4]
    printable = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in bounded)
    return " ".join(printable.split())[:limit]

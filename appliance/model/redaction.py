"""Secrets taken out of what leaves the appliance, in every form that they may stand in. Pure."""

import base64
from collections.abc import Iterable, Iterator

MASK = b"[secret]"
_GAP = b"\xff\xfe\xff"
"""Never in UTF-8, so in no form of a secret: what stands for one that is gone is not looked at again."""
SHORTEST = 4
"""Characters. Shorter ones stand in too much that is none."""


def without(data: bytes, secrets: Iterable[str]) -> bytes:
    """With `MASK` in place of each secret in clear, as JSON and HTML have it, in hex, and in base64 (RFC 4648 sections
    4 and 5) wherever in a longer text it stands."""
    forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        data = data.replace(form, _GAP)
    return data.replace(_GAP, MASK)


def _forms(secret: str) -> Iterator[bytes]:
    plain = secret.encode("utf-8", "surrogatepass")
    yield plain
    yield _in_json(secret)
    yield from _in_html(secret)
    yield plain.hex().encode()
    yield plain.hex().upper().encode()
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(plain)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            form = encode(bytes(before) + plain)[first:last]
            if len(form) > SHORTEST:
                yield form


def _in_json(secret: str) -> bytes:
    return secret.replace("\\", "\\\\").replace('"', '\\"').encode("utf-8", "surrogatepass")


def _in_html(secret: str) -> Iterator[bytes]:
    """As Jinja2 escapes it."""
    escaped = secret
    for sign, word in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("'", "&#39;"), ('"', "&#34;")):
        escaped = escaped.replace(sign, word)
    yield escaped.encode("utf-8", "surrogatepass")

"""Codes of an authenticator (TOTP, RFC 6238): SHA-1, six digits, steps of 30 seconds, which all of them speak."""

import base64
import hashlib
import hmac
from urllib.parse import quote

_STEP_SECONDS = 30
_DIGITS = 6
_DRIFT = 1
"""Steps that a clock may be wrong by, either way (RFC 6238 section 5.2)."""
SECRET_BYTES = 20


def code_at(secret: bytes, step: int) -> str:
    """RFC 4226 section 5.3."""
    mac = hmac.digest(secret, step.to_bytes(8, "big"), hashlib.sha1)
    offset = mac[-1] & 15
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**_DIGITS).zfill(_DIGITS)


def step_of(secret: bytes, code: str, now: float, after: int) -> int | None:
    """The step that `code` is for, or None. Only one later than `after`, the last step that was used: no code counts
    twice, nor does one from before it."""
    present = int(now) // _STEP_SECONDS
    fitting = [
        step
        for step in range(present - _DRIFT, present + _DRIFT + 1)
        if step > after and hmac.compare_digest(code_at(secret, step).encode(), code.encode())
    ]
    return fitting[0] if fitting else None


def base32(secret: bytes) -> str:
    return base64.b32encode(secret).decode()


def uri(secret: bytes, issuer: str, account: str) -> str:
    """The Key URI format that authenticators read from a QR code."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='')}"
    return f"otpauth://totp/{label}?secret={base32(secret)}&issuer={quote(issuer, safe='')}"

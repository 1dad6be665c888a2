"""What an account, a password and a token may be."""

import re

from appliance.access.model import Caller, Role
from appliance.access.passwords import MAX_PASSWORD
from appliance.errors import AccessError, UsageError
from appliance.model.text import clean

MIN_PASSWORD = 12
MAX_DAYS = 366
_LABEL = 60
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")


def account_name(text: str) -> str:
    """Raises `UsageError`."""
    if not _NAME.fullmatch(text):
        raise UsageError(
            "this cannot be an account's name",
            next_action="use lower-case letters, digits, dots, dashes and underscores, at most 32",
        )
    return text


def new_password(text: str, name: str) -> str:
    """NIST SP 800-63B section 3.1.1: long enough, and nothing else asked of it. Raises `UsageError`."""
    if not MIN_PASSWORD <= len(text) <= MAX_PASSWORD:
        raise UsageError(
            "this password is too short or too long",
            next_action=f"choose one of {MIN_PASSWORD} to {MAX_PASSWORD} characters",
        )
    if name in text and len(text) < len(name) + MIN_PASSWORD:
        raise UsageError("this password is little more than the account's name", next_action="choose another one")
    return text


def label_of(text: str, what: str) -> str:
    """Raises `UsageError`."""
    if not text.strip() or clean(text, _LABEL) != text:
        raise UsageError(
            f"this cannot be a {what}'s label",
            next_action=f"say in one line of at most {_LABEL} characters what it is for",
        )
    return text


def token_seconds(days: int) -> float:
    """Raises `UsageError`."""
    if not 1 <= days <= MAX_DAYS:
        raise UsageError(f"a token cannot live for {days} days", next_action=f"choose 1 to {MAX_DAYS}")
    return days * 86400.0


def at_most(caller: Caller, wanted: Role) -> Role:
    """Nobody gives away more than they have. Raises `AccessError`."""
    if not caller.role.includes(wanted):
        raise AccessError(
            f"a token of {caller.name} cannot have the role {wanted.value}",
            evidence=f"{caller.name} is {caller.role.value}",
            next_action="choose a lower role",
        )
    return wanted


def lesser(one: Role, other: Role) -> Role:
    return other if one.includes(other) else one

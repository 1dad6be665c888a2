"""How the data of the appliance is kept from who carries its disk away. Pure."""

from dataclasses import dataclass, field
from enum import Enum

from appliance.errors import UsageError
from appliance.model.secret import Secret

_SHORTEST = 12


class Disk(Enum):
    """Of the data partition; `READY` is one that only has to be mounted."""

    OPEN = "open"
    BLANK = "blank"
    LOCKED = "locked"
    READY = "plain"
    FOREIGN = "foreign"


class Protection(Enum):
    TPM = "tpm"
    PASSPHRASE = "passphrase"  # noqa: S105  a word
    NONE = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealing:
    """`passphrase` with `Protection.PASSPHRASE` alone."""

    protection: Protection
    passphrase: Secret = field(default_factory=lambda: Secret(""))


def sealing_of(disk: str, passphrase: str) -> Sealing:
    """`disk` and `passphrase` as a stick has them. Raises `UsageError` that names the key."""
    known = {choice.value: choice for choice in Protection}
    protection = Protection.PASSPHRASE if passphrase and not disk else known.get(disk)
    if protection is None:
        action = f"write disk = one of {', '.join(known)}"
        raise UsageError("disk: how is the data to be protected?", evidence=f"{disk!r:.40}", next_action=action)
    if (protection is Protection.PASSPHRASE) is not bool(passphrase):
        action = 'write both disk = "passphrase" and passphrase, or neither'
        raise UsageError("passphrase: it goes with one way to protect the data", next_action=action)
    return Sealing(protection=protection, passphrase=passphrase_of(passphrase) if passphrase else Secret(""))


def passphrase_of(answer: str) -> Secret:
    if len(answer) < _SHORTEST:
        action = f"take {_SHORTEST} characters or more, for example four words"
        raise UsageError("the passphrase is too short for a disk that can be carried away", next_action=action)
    return Secret(answer)

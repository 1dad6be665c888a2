"""Who asks, and what they may do."""

from dataclasses import dataclass
from enum import Enum


class Role(Enum):
    """Each may do all that the one before it may. `VIEWER` changes nothing; `OPERATOR` runs machines; `ADMIN` also says
    who else may, and with which passwords BMCs are entered."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def includes(self, other: "Role") -> bool:
        order = tuple(Role)
        return order.index(self) >= order.index(other)


class Via(Enum):
    """How a caller was known: by the kernel's word on a Unix socket, a token in the request, or a browser's session."""

    SOCKET = "socket"
    TOKEN = "token"  # noqa: S105  a way, not a secret
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`name` is what the audit log shows: the account's, or `local:USER` on the socket."""

    name: str
    role: Role
    via: Via

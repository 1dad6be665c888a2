"""Who asks, and what they may do."""

from dataclasses import dataclass

from appliance.model.access_views import Role, Via

__all__ = ["COOKIE", "TICKET", "Caller", "Role", "Via"]

COOKIE = "__Host-innervate"
"""A browser takes it over TLS only, for this host alone, for every path (RFC 6265bis section 4.1.3.2)."""
TICKET = "__Host-innervate-passkey"
"""The pre-session of who was asked for a passkey and has not answered yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """`name` is what the audit log shows: the account's, or `local:USER` on the socket. `credential` is the id of the
    token or of the session, which opens nothing."""

    name: str
    role: Role
    via: Via
    credential: str = ""

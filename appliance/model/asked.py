"""Who asks for something, and whether the request may come twice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A request that may come twice and counts once. `key` names it, `print` what it asks for, `status` is what a
    success is answered with."""

    key: str
    print: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`by` is the caller's name as the audit log has it (an account's, or `local:USER` on the socket), `reflex`, or ""
    where nobody is known.

    Where the request counts once, that it was carried out becomes durable together with what it did to a run.
    """

    by: str = ""
    once: Counted | None = None


SOMEBODY = Asked()

"""Whom events are sent to: what the configuration says, what may be connected to, and what proves the sender."""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pydantic import ConfigDict

from appliance.errors import UsageError
from appliance.model.secret import Secret
from appliance.model.text import clean
from appliance.model.views import EventView

Address = IPv4Address | IPv6Address

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LONGEST_REST = 300.0
_LONGEST_HOURS = 24.0 * 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """`name` also names its place on the disk. `kinds` are patterns of event kinds, all when empty. `ca_file`: whose
    certificates its receiver shows, where they are not the system's. `give_up_hours`: how old an event may be that its
    receiver does not take, before it is tried no more."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    url: str
    secret_file: Path
    kinds: tuple[str, ...] = ()
    ca_file: Path | None = None
    give_up_hours: float = 72.0

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            shown = clean(self.name, 40)
            raise UsageError(f"a webhook cannot be called {shown!r}", next_action="use a-z, 0-9 and -, at most 32")
        if why := _misfit(self.url):
            raise UsageError(
                f"webhook {self.name}: {why}",
                evidence=clean(self.url, 200),
                next_action="write https://HOST/PATH; http:// is for localhost only",
            )
        if not 0 < self.give_up_hours <= _LONGEST_HOURS:
            action = f"give hours above 0 and up to {_LONGEST_HOURS:g}, or leave it out: 72"
            raise UsageError(
                f"webhook {self.name}: give_up_hours", evidence=f"{self.give_up_hours:g}", next_action=action
            )

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""

    @property
    def stays_here(self) -> bool:
        """Whether the receiver is on this machine, as the URL itself says."""
        return _is_loopback(self.host)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookBody:
    site: str
    event: EventView


def refusal(address: Address, hook: Webhook) -> str:
    """Why this address, which the host's name led to, is not connected to; "" where it is.

    A name is its owner's to point wherever he likes: never at what only we can reach.
    """
    plain = (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
    if hook.stays_here:
        return "" if plain.is_loopback else f"{address} is not this machine"
    if plain.is_loopback:
        return f"{address} is this machine itself"
    if plain.is_link_local or plain.is_multicast or plain.is_unspecified or plain.is_reserved:
        return f"{address} is no address of a receiver"
    return ""


def headers(body: bytes, *, kind: str, seq: int, at: float, secret: Secret) -> Mapping[str, str]:
    """The signature covers the time, so that a request that was caught cannot be sent again later; it is made anew for
    each try."""
    stamp = str(int(at))
    digest = hmac.new(secret.reveal().encode(), f"{stamp}.".encode() + body, sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-Innervate-Event": kind,
        "X-Innervate-Delivery": str(seq),
        "X-Innervate-Timestamp": stamp,
        "X-Innervate-Signature": f"sha256={digest}",
    }


def rest(failures: int) -> float:
    """Seconds after so many failures in a row: 1, 2, 4, ... 300."""
    return min(2.0 ** min(failures - 1, 10), _LONGEST_REST)


def is_given_up(hook: Webhook, *, age: float, failures: int) -> bool:
    """Of an event of `age` seconds, after so many failures in a row: a receiver that is there gets old ones, too."""
    return failures > 0 and age >= hook.give_up_hours * 3600


def literal(host: str) -> Address | None:
    """The address, where the host is one and not a name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def _misfit(url: str) -> str:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "this is no URL"
    if not parts.hostname or any(not character.isprintable() or character.isspace() for character in url):
        return "this is no URL of a receiver"
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "a log-in or a fragment has no place in its URL"
    return _untrusted(parts)


def _untrusted(parts: SplitResult) -> str:
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
        return ""
    return f"{clean(parts.scheme, 20)}:// would show everything on the way" if parts.scheme == "http" else "not https"


def _is_loopback(host: str) -> bool:
    address = literal(host)
    return host == "localhost" if address is None else address.is_loopback

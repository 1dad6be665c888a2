"""What is asked of others and which answers of theirs are believed: pure.

Nothing is remembered, so there is nothing to poison; a forged answer must hit the port, the id, the spelling of the
name and the address at once. Private addresses behind public names are refused (DNS rebinding), and names that mean
something only here are never given away (RFC 6303, RFC 6761).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from pxe.dns.limit import PRIVATE
from pxe.dns.packet import (
    HEADER,
    INTERNET,
    RECURSION_AVAILABLE,
    RECURSION_DESIRED,
    RESPONSE,
    TRUNCATED,
    Kind,
    Rcode,
    Shape,
    addresses,
    pack_bare,
    query_opt,
    question_end,
    shape_of,
    wire,
)
from pxe.errors import ConfigError, PacketError

_PRIVATE_6 = tuple(IPv6Network(text) for text in ("::/127", "::ffff:0:0/96", "fc00::/7", "fe80::/10"))
_OPCODE = 0x7800
_RCODE = 0x000F
_NEVER = (
    "localhost",
    "local",
    "invalid",
    "test",
    "onion",
    "home.arpa",
    "0.in-addr.arpa",
    "10.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "168.192.in-addr.arpa",
    *(f"{octet}.172.in-addr.arpa" for octet in range(16, 32)),
    *(f"{octet}.100.in-addr.arpa" for octet in range(64, 128)),
    *(f"{nibbles}.ip6.arpa" for nibbles in ("c.f", "d.f", "8.e.f", "9.e.f", "a.e.f", "b.e.f")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """`upstreams` are asked in this order, each for `timeout` seconds. Names in `private_domains` may have private
    addresses. Beyond `in_flight` questions the answer is SERVFAIL."""

    upstreams: tuple[tuple[IPv4Address, int], ...]
    private_domains: tuple[str, ...] = ()
    timeout: float = 1.5
    in_flight: int = 256

    def __post_init__(self) -> None:
        if not self.upstreams or self.timeout <= 0 or self.in_flight < 1:
            raise ConfigError(
                "forwarding without upstream, time or room",
                evidence=f"upstreams={len(self.upstreams)} timeout={self.timeout} in_flight={self.in_flight}",
                next_action="name an upstream server, or leave forwarding out",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A client's query that is worth forwarding; its question ends at `end`."""

    raw: bytes
    end: int
    shape: Shape
    tcp: bool


def question_of(raw: bytes, *, tcp: bool) -> Question | None:
    """None for what is not ours to ask others: no recursion wanted, another class, a transfer, a name of this place."""
    try:
        end = question_end(raw)
    except PacketError:
        return None
    shape = shape_of(raw[2:HEADER], raw[end:])
    if not isinstance(shape, Shape) or shape.bad_version or not raw[2] & 1:
        return None
    kind = int.from_bytes(raw[end - 4 : end - 2])
    if raw[end - 2 : end] != INTERNET or kind in (Kind.AXFR, Kind.IXFR) or _is_in(raw[HEADER : end - 4], _NEVER):
        return None
    return Question(raw=raw, end=end, shape=shape, tcp=tcp)


def _is_in(name: bytes, domains: Sequence[str]) -> bool:
    """Label by label, so that "xlocal" is not in "local"."""
    name, at = name.lower(), 0
    below = {wire(domain) for domain in domains}
    while name[at]:
        if name[at:] in below:
            return True
        at += name[at] + 1
    return False


def ask(question: Question, *, random: bytes) -> bytes:
    """The query to send: `random` is the id (2 bytes) and the case of the letters (a bit each, 32 bytes)."""
    name = question.raw[HEADER : question.end - 4]
    opt = query_opt(question.shape.limit, question.shape.opt) if question.shape.opt else b""
    head = random[:2] + RECURSION_DESIRED.to_bytes(2) + bytes((0, 1, 0, 0, 0, 0, 0, int(bool(opt))))
    return head + _spelled(name, random[2:]) + question.raw[question.end - 4 : question.end] + opt


def _spelled(name: bytes, coins: bytes) -> bytes:
    """Lengths are below 64 and no letters, so only labels change (draft-vixie-dnsext-dns0x20)."""
    lower, upper = name.lower(), name.upper()
    return bytes((upper if coins[at // 8] >> at % 8 & 1 else lower)[at] for at in range(len(name)))


def believe(question: Question, asked: bytes, said: bytes, private_domains: Sequence[str]) -> bytes | None:
    """The answer for the client; None for what is no answer to `asked`, behind which the real one may yet come."""
    end = question.end
    if len(said) < end or said[:2] != asked[:2] or said[HEADER:end] != asked[HEADER:end] or said[4:6] != b"\0\1":
        return None
    flags = int.from_bytes(said[2:4])
    if not flags & RESPONSE or flags & _OPCODE:
        return None
    try:
        private = any(_is_private(address) for address in addresses(said))
    except PacketError:
        return failure(question)
    if private and not _is_in(question.raw[HEADER : end - 4], private_domains):
        return failure(question)
    flags = RESPONSE | flags & (TRUNCATED | _RCODE) | RECURSION_DESIRED | RECURSION_AVAILABLE
    answer = question.raw[:2] + flags.to_bytes(2) + said[4:HEADER] + question.raw[HEADER:end] + said[end:]
    return answer if question.tcp or len(answer) <= question.shape.limit else failure(question)


def failure(question: Question) -> bytes:
    return pack_bare(question.raw, Rcode.SERVFAIL, flags=RECURSION_AVAILABLE)


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    networks: Sequence[IPv4Network | IPv6Network] = PRIVATE if isinstance(address, IPv4Address) else _PRIVATE_6
    return any(address in network for network in networks)

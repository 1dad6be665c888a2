"""Syslog messages as bytes (RFC 5424), how they are told apart on a stream (RFC 6587 section 3.4.1, RFC 5425), and the
collector that the configuration names."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, IntEnum
from pathlib import Path

from pydantic import ConfigDict

from appliance.errors import UsageError
from appliance.model.text import clean

ENTERPRISE = "32473"
"""Of our structured data: the number for examples (RFC 5612), because the product has none of its own."""

DATAGRAM_LIMIT = 2048
STREAM_LIMIT = 8192
"""Bytes of one message; receivers should take 2048 of a datagram (RFC 5426 section 3.2) and 8192 of a stream (RFC 5425
section 4.3.1)."""

_NIL = "-"
_BOM = b"\xef\xbb\xbf"
_VALUE = 300
_ESCAPED = str.maketrans({'"': '\\"', "\\": "\\\\", "]": "\\]"})
_HIGHEST_SEQUENCE = 2**31 - 1


class Facility(IntEnum):
    """RFC 5424 section 6.2.1, table 1."""

    DAEMON = 3
    AUTHPRIV = 10
    LOCAL0 = 16
    LOCAL1 = 17
    LOCAL2 = 18
    LOCAL3 = 19
    LOCAL4 = 20
    LOCAL5 = 21
    LOCAL6 = 22
    LOCAL7 = 23


class Severity(IntEnum):
    """RFC 5424 section 6.2.1, table 2."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFORMATIONAL = 6


class Transport(Enum):
    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


_PORTS = {Transport.UDP: 514, Transport.TCP: 514, Transport.TLS: 6514}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """`port` 0 means the usual one. `ca_file`: who has signed its certificate, where the system does not know it."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    host: str
    transport: Transport
    port: int = 0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        shown = clean(self.host, 100)
        if not self.host or shown != self.host or any(mark in self.host for mark in " /@"):
            raise UsageError(
                "syslog: no host", evidence=repr(shown), next_action="write the collector's name or address as host"
            )
        if not 0 <= self.port < 1 << 16:
            raise UsageError("syslog: no port", evidence=str(self.port), next_action="give a port up to 65535")
        if self.ca_file is not None and self.transport is not Transport.TLS:
            raise UsageError("syslog: only TLS shows a certificate", next_action='leave ca_file out, or say "tls"')

    @property
    def at(self) -> int:
        return self.port or _PORTS[self.transport]

    @property
    def limit(self) -> int:
        return DATAGRAM_LIMIT if self.transport is Transport.UDP else STREAM_LIMIT

    def __str__(self) -> str:
        return f"{self.transport.value}://{self.host}:{self.at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who speaks: the site's name stands for the host, `process` is its number."""

    host: str
    process: int
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`time` in seconds since the epoch; `kind` is MSGID; `data` are names and values of one structured element."""

    facility: Facility
    severity: Severity
    time: float
    kind: str
    element: str
    data: tuple[tuple[str, str], ...]
    text: str


def encoded(message: Message, origin: Origin, number: int, limit: int) -> bytes:
    """At most `limit` bytes (>= 1024): text is cut at a character, then values. `number` counts messages from 1: a
    receiver sees which ones are missing (RFC 5424 section 7.3.1)."""
    head = " ".join((
        f"<{message.facility * 8 + message.severity}>1",
        datetime.fromtimestamp(message.time, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        _word(origin.host, 255),
        "innervate",
        str(origin.process),
        _word(message.kind, 32),
    )).encode()  # fmt: skip
    known = _element("origin", (("software", "innervate"), ("swVersion", origin.version)))
    meta = _element("meta", (("sequenceId", str((number - 1) % _HIGHEST_SEQUENCE + 1)),))
    room = limit - len(head) - len(known) - len(meta) - 1
    own = _fitting(message, room)
    text = _cut(clean(message.text, limit).encode(errors="replace"), room - len(own) - 1 - len(_BOM))
    return b" ".join((head, known + meta + own)) + (b" " + _BOM + text if text else b"")


def framed(message: bytes) -> bytes:
    """Octet counting: MSG-LEN, a blank, the message."""
    return b"%d %b" % (len(message), message)


def _fitting(message: Message, room: int) -> bytes:
    """The element without its last values, where it is too long for what is left."""
    said = tuple((name, value) for name, value in message.data if value)
    name = f"{_word(message.element, 24)}@{ENTERPRISE}"
    while len(element := _element(name, said)) > room:
        said = said[:-1]
    return element


def _element(name: str, said: tuple[tuple[str, str], ...]) -> bytes:
    values = "".join(f' {_word(key, 32)}="{clean(value, _VALUE).translate(_ESCAPED)}"' for key, value in said)
    return f"[{name}{values}]".encode(errors="replace")


def _word(text: str, longest: int) -> str:
    """PRINTUSASCII, and nothing that ends a name in structured data."""
    return "".join(mark for mark in text if "!" <= mark <= "~" and mark not in '="]')[:longest] or _NIL


def _cut(text: bytes, longest: int) -> bytes:
    if len(text) <= longest:
        return text
    return text[: max(longest, 0)].decode(errors="ignore").encode()

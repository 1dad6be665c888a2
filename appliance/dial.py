"""How the daemon is reached: by its Unix socket, or over TLS with a token. The server is proven first."""

import hashlib
import hmac
import re
import socket
import ssl
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from appliance.errors import AbsentError, LoginError, UsageError
from appliance.model.secret import Secret

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

_PORT = 443
_BLOCK = 64 << 10
_MESSAGE_LIMIT = 1 << 20
_START = "start it: `innervate daemon --config FILE`, or name its socket with --socket"
_REACH = "check address and port; `innervate daemon` serves there only with https_port"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnixDial:
    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsDial:
    """`fingerprint` (64 hex digits) is the only certificate that counts; with `authority` those that it has signed (a
    PEM file); with neither those that this computer trusts."""

    host: str
    port: int = _PORT
    token: Secret = field(default=Secret(""))
    fingerprint: str = ""
    authority: Path | None = None

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"https://{self.netloc}"


Dial = UnixDial | HttpsDial


def https_dial(url: str, token: str, fingerprint: str, authority: Path | None) -> HttpsDial:
    """`url` is https://HOST[:PORT]; `fingerprint` as it is printed anywhere, with or without colons. Raises
    `UsageError`."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORT
    except ValueError as error:
        raise _no_server(url) from error
    if parts.scheme != "https" or not host or parts.path not in ("", "/") or parts.query or parts.username:
        raise _no_server(url)
    pinned = fingerprint.replace(":", "").lower()
    if pinned and not re.fullmatch("[0-9a-f]{64}", pinned):
        raise UsageError(
            "this is no certificate's SHA-256 fingerprint",
            next_action="give 64 hex digits; the daemon's log shows them",
        )
    return HttpsDial(host=host, port=port, token=Secret(token), fingerprint=pinned, authority=authority)


def http_connection(dial: Dial, timeout: float) -> HTTPConnection:
    return _Connection(dial, timeout)


def headers_of(dial: Dial) -> dict[str, str]:
    if isinstance(dial, HttpsDial) and dial.token.reveal():
        return {"Authorization": f"Bearer {dial.token.reveal()}"}
    return {}


def websocket(dial: Dial, target: str, timeout: float) -> "AbstractContextManager[ClientConnection]":
    """Raises `OSError` and what `websockets` raises."""
    from websockets.sync.client import connect

    netloc = dial.netloc if isinstance(dial, HttpsDial) else "localhost"
    return connect(
        f"ws://{netloc}{target}",  # the socket below speaks TLS already
        sock=open_socket(dial, timeout),
        additional_headers=headers_of(dial),
        compression=None,
        max_size=_MESSAGE_LIMIT,
        open_timeout=timeout,
    )


def absent(dial: Dial, error: Exception) -> AbsentError:
    action = _START if isinstance(dial, UnixDial) else _REACH
    return AbsentError("the daemon does not answer", evidence=f"{dial}: {error}", next_action=action)


def open_socket(dial: Dial, timeout: float) -> socket.socket:
    """Raises `OSError`, and `LoginError` where another server than the pinned one answers."""
    match dial:
        case UnixDial(path=path):
            opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            opened.settimeout(timeout)
            try:
                opened.connect(str(path))
            except OSError:
                opened.close()
                raise
            return opened
        case HttpsDial():
            return _over_tls(dial, timeout)


def _over_tls(dial: HttpsDial, timeout: float) -> socket.socket:
    plain = socket.create_connection((dial.host, dial.port), timeout)
    try:
        opened = _context(dial).wrap_socket(plain, server_hostname=dial.host)
    except BaseException:
        plain.close()
        raise
    shown = hashlib.sha256(opened.getpeercert(binary_form=True) or b"").hexdigest()
    if dial.fingerprint and not hmac.compare_digest(shown, dial.fingerprint):
        opened.close()
        raise LoginError(
            f"{dial} shows another certificate than the pinned one",
            evidence=f"SHA-256 {shown}",
            next_action="find out why before you pin this one: nothing was sent to it",
        )
    return opened


def _context(dial: HttpsDial) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=dial.authority)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"{dial.authority} holds no certificate of an authority",
            evidence=str(error)[:200],
            next_action="name a PEM file",
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if dial.fingerprint:  # compared before the first byte is sent
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class _Connection(HTTPConnection):
    def __init__(self, dial: Dial, timeout: float) -> None:
        host, port = (dial.host, dial.port) if isinstance(dial, HttpsDial) else ("localhost", None)
        super().__init__(host, port, timeout=timeout, blocksize=_BLOCK)
        self._dial, self._seconds = dial, timeout

    def connect(self) -> None:
        self.sock = open_socket(self._dial, self._seconds)


def _no_server(url: str) -> UsageError:
    return UsageError(f"{url[:100]!r} names no server", next_action="write it as https://HOST:PORT")

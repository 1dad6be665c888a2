"""http.client, curl and openssl against our boot server, and what only a raw socket can ask."""

import contextlib
import hashlib
import http.client
import re
import shutil
import socket
import ssl
import struct
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from pxe.content import BytesContent, Content, ContentTable, FileContent
from pxe.http.responder import HttpReply, HttpRequest
from pxe.http.server import Caps, HttpEvent, HttpServer, Tls
from pxe.tls import Credential, KeyKind, issue, make_authority, server_context

ADDRESS = IPv4Address("127.80.0.1")
CLIENT = IPv4Address("127.80.0.2")
LARGE = 20 * 1024 * 1024 + 7
DEADLINE = 10.0


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Events:
    def __init__(self) -> None:
        self._seen: list[HttpEvent] = []
        self._changed = threading.Condition()

    def observe(self, event: HttpEvent) -> None:
        with self._changed:
            self._seen.append(event)
            self._changed.notify_all()

    def first(self, wanted: Callable[[HttpEvent], bool]) -> HttpEvent:
        with self._changed:
            assert self._changed.wait_for(lambda: any(map(wanted, self._seen)), DEADLINE), self._seen
            return next(filter(wanted, self._seen))


class Site:
    """/dynamic/echo answers what it was sent, /dynamic/broken raises, /dynamic/slow/ sets `entered`, waits to leave."""

    def __init__(self, table: ContentTable) -> None:
        self._table = table
        self.entered = threading.Event()
        self.leave = threading.Event()

    def content(self, path: str) -> Content | None:
        return self._table.content(path.removeprefix("/"))

    def is_dynamic(self, path: str) -> bool:
        return path.startswith("/dynamic/")

    def is_slow(self, path: str) -> bool:
        return path.startswith("/dynamic/slow/")

    def handle(self, request: HttpRequest) -> HttpReply:
        if request.path == "/dynamic/broken":
            raise RuntimeError("this handler is broken on purpose")
        if self.is_slow(request.path):
            self.entered.set()
            assert self.leave.wait(DEADLINE)
        words = f"{request.method} {request.query.get('a')} {request.client} ".encode()
        return HttpReply(body=words + request.body, media_type="application/json")


def pattern(size: int) -> bytes:
    return b"".join(hashlib.sha256(n.to_bytes(4)).digest() for n in range(size // 32 + 1))[:size]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("http") / "large"
    path.write_bytes(pattern(LARGE))
    return path


@pytest.fixture
def events() -> Events:
    return Events()


def site_of(large: Path) -> Site:
    return Site(
        ContentTable(
            {
                "large": FileContent(path=large, size=LARGE, digest="d1"),
                "small.efi": BytesContent(data=b"0123456789", media_type="application/efi"),
                "empty": BytesContent(data=b""),
                "gone": FileContent(path=large.parent / "gone", size=1),
            }
        )
    )


@pytest.fixture
def site(large: Path) -> Site:
    return site_of(large)


def started(site: Site, events: Events, caps: Caps, tls: Tls | None = None) -> HttpServer:
    server = HttpServer(
        address=ADDRESS, port=0, routes=site, clock=SystemClock(), observe=events.observe, caps=caps, tls=tls
    )
    server.start()
    return server


@pytest.fixture
def server(site: Site, events: Events) -> Iterator[HttpServer]:
    server = started(site, events, Caps())
    yield server
    site.leave.set()
    server.stop()


@pytest.fixture
def client(server: HttpServer) -> Iterator[http.client.HTTPConnection]:
    connection = connect(server)
    yield connection
    connection.close()


def connect(server: HttpServer) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(str(ADDRESS), server.port, DEADLINE, source_address=(str(CLIENT), 0))


def ask(
    client: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    client.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = client.getresponse()
    return response, response.read()


def raw(server: HttpServer, request: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_large_file_whole(client: http.client.HTTPConnection, server: HttpServer, events: Events) -> None:
    response, body = ask(client, "GET", "/large")
    assert (response.status, response.headers["ETag"], len(body)) == (200, '"d1"', LARGE)
    assert hashlib.sha256(body).digest() == hashlib.sha256(pattern(LARGE)).digest()
    event = events.first(lambda event: event.path == "/large")
    assert (event.client, event.method, event.status, event.sent, event.total) == (CLIENT, "GET", 200, LARGE, LARGE)
    assert server.sent_bytes(CLIENT) == LARGE
    assert server.sent_bytes(IPv4Address("127.9.9.9")) == 0
    assert server.sent_in_all() == LARGE


def test_head_then_get_on_one_connection(client: http.client.HTTPConnection) -> None:
    """What UEFI HTTP Boot does."""
    response, body = ask(client, "HEAD", "/small.efi")
    assert (response.status, response.headers["Content-Length"], body) == (200, "10", b"")
    sock = client.sock
    response, body = ask(client, "GET", "/small.efi")
    assert (response.headers["Content-Type"], body) == ("application/efi", b"0123456789")
    assert client.sock is sock
    assert "Transfer-Encoding" not in response.headers


@pytest.mark.parametrize(
    ("wanted", "status", "span"),
    [("0-0", 206, (0, 1)), (f"{LARGE - 5}-", 206, (LARGE - 5, LARGE)), ("-3", 206, (LARGE - 3, LARGE)),
     ("1000000-9000000", 206, (1_000_000, 9_000_001)), (f"{LARGE}-", 416, (0, 0))],
)  # fmt: skip
def test_range(client: http.client.HTTPConnection, wanted: str, status: int, span: tuple[int, int]) -> None:
    response, body = ask(client, "GET", "/large", Range=f"bytes={wanted}")
    assert response.status == status
    assert body == pattern(LARGE)[slice(*span)]


def test_errors_keep_the_connection(client: http.client.HTTPConnection) -> None:
    statuses = [ask(client, method, path)[0].status for method, path in (
        ("GET", "/missing"), ("GET", "/gone"), ("DELETE", "/empty"), ("GET", "/dynamic/broken"), ("GET", "/empty")
    )]  # fmt: skip
    assert statuses == [404, 500, 405, 500, 200]


def test_dynamic(client: http.client.HTTPConnection) -> None:
    response, body = ask(client, "POST", "/dynamic/echo?a=%41", b"{}")
    assert (response.headers["Content-Type"], body) == ("application/json", f"POST A {CLIENT} {{}}".encode())


def test_body_of_eight_mebibytes(client: http.client.HTTPConnection) -> None:
    body = pattern(8 * 1024 * 1024)
    assert ask(client, "POST", "/dynamic/echo", body)[1].endswith(body)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /dynamic/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n" + b"x" * 3_000_000, 413),
        (b"POST /dynamic/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411),
        (b"\x16\x03\x01 a TLS hello, say\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000, 431),
    ],
)
def test_refusal_reaches_the_client_and_closes(server: HttpServer, request_: bytes, status: int) -> None:
    assert raw(server, request_).startswith(f"HTTP/1.1 {status} ".encode())


def test_http_1_0_and_absolute_form(server: HttpServer) -> None:
    reply = raw(server, b"GET http://other.example/small.efi HTTP/1.0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in reply
    assert reply.endswith(b"\r\n\r\n0123456789")


def test_pipelining(server: HttpServer) -> None:
    """More requests in one buffer than Python would let us recurse."""
    requests = (
        b"GET /small.efi HTTP/1.1\r\nHost: a\r\n\r\n" * 3000
        + b"GET /empty HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    reply = raw(server, requests)
    assert len(re.findall(rb"HTTP/1\.1 200 OK", reply)) == 3001
    assert reply.count(b"0123456789") == 3000


def test_expect_continue(server: HttpServer) -> None:
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as sock:
        sock.sendall(b"POST /dynamic/echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert sock.recv(1000).endswith(b"ok")


def test_client_that_takes_nothing_blocks_nobody(server: HttpServer, client: http.client.HTTPConnection) -> None:
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as lazy:
        lazy.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len(ask(client, "GET", "/large")[1]) == LARGE


def test_broken_download_is_reported(server: HttpServer, events: Events) -> None:
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as sock:
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert sock.recv(1000)
    event = events.first(lambda event: event.path == "/large")
    assert 0 < event.sent < event.total == LARGE


def test_too_many_connections(site: Site, events: Events) -> None:
    server = started(site, events, Caps(connections=1))
    try:
        first = connect(server)
        assert ask(first, "GET", "/empty")[0].status == 200
        response, _ = ask(connect(server), "GET", "/empty")
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert ask(first, "GET", "/empty")[0].status == 200
        first.close()
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("start", "answer"),
    [
        (b"", b""),
        (b"GET / HT", b"HTTP/1.1 408 "),
        (b"POST /dynamic/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab", b"HTTP/1.1 408 "),
    ],
)
def test_slow_client_is_let_go(site: Site, events: Events, start: bytes, answer: bytes) -> None:
    server = started(site, events, Caps(idle=0.05, head=0.05, grace=0.05))
    try:
        reply = raw(server, start)
        assert reply.startswith(answer)
        assert bool(reply) is bool(answer)
    finally:
        server.stop()


def test_curl_resumes(server: HttpServer, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    target = tmp_path / "got"
    target.write_bytes(pattern(LARGE)[:5_000_000])
    url = f"http://{ADDRESS}:{server.port}/large"
    subprocess.run([curl, "-sSf", "-C", "-", "-o", str(target), url], check=True, timeout=60)
    assert target.read_bytes() == pattern(LARGE)


def test_slow_handler_holds_nobody_up(site: Site, server: HttpServer, client: http.client.HTTPConnection) -> None:
    slow = connect(server)
    slow.request("GET", "/dynamic/slow/report")
    assert site.entered.wait(DEADLINE)
    assert ask(client, "GET", "/small.efi")[0].status == 200
    site.leave.set()
    assert slow.getresponse().status == 200
    slow.close()


def test_client_that_leaves_a_slow_handler_is_let_go(site: Site, server: HttpServer, events: Events) -> None:
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(b"GET /dynamic/slow/a HTTP/1.1\r\nHost: a\r\n\r\n")
        assert site.entered.wait(DEADLINE)
    site.leave.set()
    other = connect(server)
    assert ask(other, "GET", "/dynamic/slow/b")[0].status == 200
    other.close()
    events.first(lambda event: event.path == "/dynamic/slow/b")


def test_handlers_line_is_bounded(site: Site, events: Events) -> None:
    server = started(site, events, Caps(workers=1, waiting=1))
    clients = [connect(server) for _ in range(3)]
    try:
        clients[0].request("GET", "/dynamic/slow/0")
        assert site.entered.wait(DEADLINE)
        clients[1].request("GET", "/dynamic/slow/1")
        assert ask(clients[2], "GET", "/small.efi")[0].status == 200
        response, body = ask(clients[2], "GET", "/dynamic/slow/2")
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert b"1 requests are waiting" in body
        site.leave.set()
        assert [one.getresponse().status for one in clients[:2]] == [200, 200]
    finally:
        site.leave.set()
        for one in clients:
            one.close()
        server.stop()


def test_one_client_cannot_take_all_connections(site: Site, events: Events) -> None:
    server = started(site, events, Caps(per_client=1))
    try:
        first = connect(server)
        assert ask(first, "GET", "/empty")[0].status == 200
        assert ask(connect(server), "GET", "/empty")[0].status == 503
        with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as other:
            other.sendall(b"GET /empty HTTP/1.0\r\n\r\n")
            assert other.recv(1000).startswith(b"HTTP/1.1 200")
        first.close()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def authority() -> Credential:
    return make_authority(name="test rack", now=datetime.now(UTC))


@pytest.fixture(scope="module")
def secured(authority: Credential, large: Path) -> Iterator[HttpServer]:
    now = datetime.now(UTC)
    old = make_authority(name="old test rack", now=now, kind=KeyKind.RSA_2048)
    credentials = (
        issue(authority, addresses=[ADDRESS], names=["boot.rack.test"], now=now),
        issue(old, addresses=[ADDRESS], now=now, kind=KeyKind.RSA_2048),
    )
    server = started(site_of(large), Events(), Caps(), Tls(context=server_context(credentials), port=0))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def trusted(authority: Credential, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    path.write_bytes(authority.certificate)
    return path


def test_python_over_tls(secured: HttpServer, trusted: Path) -> None:
    context = ssl.create_default_context(cafile=trusted)
    client = http.client.HTTPSConnection(str(ADDRESS), secured.tls_port, timeout=DEADLINE, context=context)
    assert ask(client, "GET", "/small.efi")[1] == b"0123456789"
    sock = client.sock
    assert ask(client, "POST", "/dynamic/echo", b"{}")[1].endswith(b"{}")
    body = ask(client, "GET", "/large")[1]
    assert hashlib.sha256(body).digest() == hashlib.sha256(pattern(LARGE)).digest()
    assert client.sock is sock
    client.close()


def test_curl_over_tls(secured: HttpServer, trusted: Path, tmp_path: Path) -> None:
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    target, resolve = tmp_path / "got", f"boot.rack.test:{secured.tls_port}:{ADDRESS}"
    url = f"https://boot.rack.test:{secured.tls_port}/large"
    argv = [curl, "-sSf", "--cacert", str(trusted), "--resolve", resolve, "-r", "1000000-", "-o", str(target), url]
    subprocess.run(argv, check=True, timeout=60)
    assert target.read_bytes() == pattern(LARGE)[1_000_000:]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("-tls1_2", "-sigalgs", "RSA+SHA256"), b"Peer signature type: RSA"),
        (("-tls1_2", "-sigalgs", "ECDSA+SHA256"), b"Peer signature type: ECDSA"),
        (("-tls1_3",), b"TLSv1.3"),
    ],
)
def test_openssl_gets_the_credential_it_can_verify(
    secured: HttpServer, arguments: tuple[str, ...], word: bytes
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    argv = [openssl, "s_client", "-connect", f"{ADDRESS}:{secured.tls_port}", *arguments]
    done = subprocess.run(argv, input=b"", capture_output=True, check=True, timeout=30)
    assert word in done.stdout


def test_tls_1_1_and_plain_text_are_refused_on_the_tls_port(secured: HttpServer) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with socket.create_connection((str(ADDRESS), secured.tls_port), DEADLINE) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock)
    with socket.create_connection((str(ADDRESS), secured.tls_port), DEADLINE) as sock:
        sock.sendall(b"GET /small.efi HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert not sock.recv(1000).startswith(b"HTTP")


def test_handshakes_under_way_are_bounded_and_block_nobody(authority: Credential, large: Path) -> None:
    context = server_context([issue(authority, addresses=[ADDRESS], now=datetime.now(UTC))])
    server = started(site_of(large), Events(), Caps(handshakes=1), Tls(context=context, port=0))
    try:
        with socket.create_connection((str(ADDRESS), server.tls_port), DEADLINE):
            plain = connect(server)
            assert ask(plain, "GET", "/small.efi")[0].status == 200
            plain.close()
            with socket.create_connection((str(ADDRESS), server.tls_port), DEADLINE) as second:
                assert second.recv(1) == b""
    finally:
        server.stop()

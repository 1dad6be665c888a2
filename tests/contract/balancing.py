"""Debian's haproxy and keepalived, and API servers behind them: TLS servers whose /readyz says what the test wants."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

from appliance.lab.certificate import self_signed
from tests.contract.segment import inside
from tests.foreign import unpacked

HAPROXY = ("haproxy", "libopentracing-c-wrapper0", "liblua5.3-0", "libpcre2-8-0", "libssl3")
KEEPALIVED = ("keepalived", "libnl-3-200", "libnl-genl-3-200", "libsnmp40", "libsensors5", "libipset13", "libmnl0")


def program(name: str, packages: tuple[str, ...]) -> tuple[str, ...]:
    """Unpacked: installing either would start it on this machine. Libraries come from beside it."""
    root = unpacked(*packages)
    libraries = f"{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu"
    return ("env", f"LD_LIBRARY_PATH={libraries}", str(root / "usr/sbin" / name))


class ApiServer(ThreadingHTTPServer):
    """Says its name to every GET but /readyz, which says 200 while it is `ready`. Connections stay open."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, name: str, address: tuple[str, int], papers: ssl.SSLContext) -> None:
        self.name, self.ready = name, True
        self.asked = 0
        super().__init__(address, _Handler)
        self.socket = papers.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """A check closes without a word."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def do_GET(self) -> None:
        check = self.path == "/readyz"
        body = b"" if check else self.server.name.encode()
        self.server.asked += not check
        self.send_response(200 if self.server.ready or not check else 500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


def papers(folder: Path) -> ssl.SSLContext:
    made = self_signed("api", IPv4Address("127.0.0.1"))
    (folder / "papers.pem").write_bytes(made.certificate + made.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "papers.pem")
    return context


@contextmanager
def api_server(name: str, address: str, port: int, context: ssl.SSLContext, namespace: str = "") -> Iterator[ApiServer]:
    with ExitStack() as stack:
        if namespace:
            with inside(namespace):
                server = ApiServer(name, (address, port), context)
        else:
            server = ApiServer(name, (address, port), context)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        yield server


@contextmanager
def looping() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop in a thread; what runs on it is cancelled at the end of the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancelled(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _cancelled() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)

"""Our servers, each alone in its process: `python -m tests.bench.ours dhcp|tftp|http|dns FOLDER`, until SIGTERM.

Built as the daemon builds them: events are handed to an asyncio loop in the main thread, which counts them. With
`--portable` cffi cannot be imported, so every datagram takes a system call of its own.

This is the one file of the bench that knows how the product is put together. Each server is imported where it is
built, so that the memory of a process is that of its own server.
"""

import argparse
import asyncio
import signal
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

from appliance.services.inbox import Inbox
from appliance.system import SystemClock
from pxe.boot import BootIntent, Endpoints, RunKernel, Wait
from pxe.client import Client, Mac, Stage
from pxe.content import ContentTable, FileContent
from pxe.memory import settle
from pxe.script import boot_script
from tests.bench import traffic
from tests.bench.lab import DEVICE, HTTP_PORT, NETWORK, POOL_FIRST, POOL_LAST, SERVER
from tests.bench.process import Launch

ENDPOINTS = Endpoints(address=SERVER, http_port=HTTP_PORT)
TEMPLATE = "ipxe/run_kernel.ipxe.j2"

_UNKNOWN = Wait(reason="this machine is not named in the site program", seconds=30)


def dhcp(folder: Path) -> Launch:
    return Launch(argv=_argv("dhcp", folder), udp=67)


def dhcp_compiled(folder: Path) -> Launch:
    return Launch(argv=(sys.executable, "-m", "pxe.compiled", *_argv("dhcp", folder)[1:]), udp=67)


def tftp(folder: Path) -> Launch:
    return Launch(argv=_argv("tftp", folder), udp=69)


def tftp_portable(folder: Path) -> Launch:
    return Launch(argv=_argv("tftp", folder, "--portable"), udp=69)


def http(folder: Path) -> Launch:
    return Launch(argv=_argv("http", folder), tcp=HTTP_PORT)


def dns(folder: Path) -> Launch:
    return Launch(argv=_argv("dns", folder), udp=53)


def _argv(name: str, folder: Path, *flags: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.bench.ours", name, str(folder), *flags)


# Boot scripts


def client_of(machine: int) -> Client:
    return Client(mac=Mac(traffic.mac_of(machine)), stage=Stage.IPXE, uuid=traffic.uuid_of(machine))


def intent_of(machine: int) -> RunKernel:
    nonce = traffic.nonce_of(machine)
    words = (
        f"innervate.server={ENDPOINTS.url('')}",
        f"innervate.nonce={nonce}",
        "console=ttyS0,115200",
        "console=tty0",
    )
    return RunKernel(kernel=traffic.KERNEL, initrd=traffic.INITRD, arguments=words, attempt=nonce)


def script_of(machine: int) -> str:
    return boot_script(intent_of(machine), client_of(machine), ENDPOINTS)


class _Policy:
    def __init__(self) -> None:
        self._intents = {client_of(machine).mac: intent_of(machine) for machine in range(traffic.MACHINES)}

    def intent_for(self, client: Client) -> BootIntent:
        return self._intents.get(client.mac, _UNKNOWN)


# Servers


class _Server(Protocol):
    def start(self) -> None: ...

    def stop(self) -> None: ...


class _Senses:
    """What the appliance does with events, without the folding of records."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._inbox = Inbox(loop)
        self._seen: Counter[str] = Counter()

    def observe(self, event: object) -> None:
        self._inbox.put(self._note, event)

    def ignore(self, event: object) -> None:
        """HTTP's responses, which the appliance does not look at."""

    def _note(self, event: object) -> None:
        self._seen[type(event).__name__] += 1


def _dhcp(folder: Path, senses: _Senses) -> _Server:
    from pxe.dhcp.guards import Guards
    from pxe.dhcp.server import DhcpServer
    from pxe.dhcp.subnet import DhcpConfig, Subnet

    subnet = Subnet(
        network=NETWORK,
        server=SERVER,
        pool_first=POOL_FIRST,
        pool_last=POOL_LAST,
        router=SERVER,
        lease_seconds=traffic.LEASE_SECONDS,
    )
    return DhcpServer(
        device=DEVICE,
        config=DhcpConfig(local=(subnet,)),
        endpoints=ENDPOINTS,
        journal=folder / "leases",
        clock=SystemClock(),
        observe=senses.observe,
        # As the peers do here: they ask for no address before they offer it, and limit nobody.
        guards=Guards(probe=False, limits=None),
    )


def _tftp(_: Path, senses: _Senses) -> _Server:
    from pxe.tftp.server import SameForAll, TftpServer

    table = ContentTable({path.name: _content(path) for path in traffic.TFTP_ROOT.iterdir()})
    return TftpServer(address=SERVER, lookup=SameForAll(table), clock=SystemClock(), observe=senses.observe)


def _http(_: Path, senses: _Senses) -> _Server:
    from pxe.http.responder import HttpReply, HttpRequest
    from pxe.http.server import HttpServer
    from pxe.routes import BootRoutes

    class NoApplication:
        def handle(self, request: HttpRequest) -> HttpReply:
            return HttpReply(status=HTTPStatus.NOT_FOUND)

    routes = BootRoutes(
        endpoints=ENDPOINTS,
        programs=ContentTable(),
        artifacts=ContentTable({traffic.IMAGE.name: _content(traffic.IMAGE)}),
        policy=_Policy(),
        application=NoApplication(),
        observe=senses.observe,
    )
    return HttpServer(address=SERVER, port=HTTP_PORT, routes=routes, clock=SystemClock(), observe=senses.ignore)


def _dns(_: Path, __: _Senses) -> _Server:
    from pxe.dns.responder import Zone
    from pxe.dns.server import DnsServer

    zone = Zone(domain=traffic.DOMAIN, server=SERVER, hosts=traffic.HOSTS)
    return DnsServer(address=SERVER, zone=zone, clock=SystemClock())


def _content(path: Path) -> FileContent:
    return FileContent(path=path, size=path.stat().st_size)


_BUILDERS: Mapping[str, Callable[[Path, _Senses], _Server]] = {"dhcp": _dhcp, "tftp": _tftp, "http": _http, "dns": _dns}


async def _serve(build: Callable[[_Senses], _Server]) -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, done.set)
    server = build(_Senses(loop))
    server.start()
    settle()
    await done.wait()
    server.stop()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=sorted(_BUILDERS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--portable", action="store_true")
    arguments = parser.parse_args()
    if arguments.portable:
        sys.modules["cffi"] = None  # type: ignore[assignment]  # how Python is told that an import shall fail
    asyncio.run(_serve(partial(_BUILDERS[arguments.name], arguments.folder)))


if __name__ == "__main__":
    _main()

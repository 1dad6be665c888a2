"""Python's servers as peers: `python -m tests.bench.pypeers tftpy|starlette|dnslib`, until SIGTERM."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest.mock import patch

import dnslib
import jinja2
import tftpy
import uvicorn
from dnslib.server import BaseResolver, DNSHandler, DNSLogger, DNSServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import templates
from tests.bench import ours, traffic
from tests.bench.lab import HTTP_PORT, SERVER

Value = str | int | Sequence[str]


def serve_tftpy() -> None:
    logging.getLogger("tftpy").setLevel(logging.ERROR)
    tftpy.TftpServer(str(traffic.TFTP_ROOT)).listen(str(SERVER), 69)


def serve_starlette() -> None:
    """The template that ours renders, in a plain environment: without the sandbox it is the cheaper one."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(templates.__file__).parent),
        autoescape=False,  # noqa: S701 (a boot script, no HTML)
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    template = environment.get_template(ours.TEMPLATE)
    values = {traffic.mac_of(machine): _script_values(machine) for machine in range(traffic.MACHINES)}

    async def boot(request: Request) -> PlainTextResponse:
        mac = request.query_params["mac"].replace("-", ":")
        return PlainTextResponse(template.render(values[mac]))

    application = Starlette(routes=[Route("/boot.ipxe", boot)])
    uvicorn.run(application, host=str(SERVER), port=HTTP_PORT, access_log=False, log_level="error")


def _script_values(machine: int) -> Mapping[str, Value]:
    """What the product puts into the template: made beforehand, so that only the rendering is left to do."""
    taken: list[Mapping[str, Value]] = []

    def take(_: str, values: Mapping[str, Value]) -> str:
        taken.append(values)
        return ""

    with patch("pxe.script.render", take):
        ours.script_of(machine)
    return taken[0]


class _Resolver(BaseResolver):  # type: ignore[misc]  # dnslib has no types
    def __init__(self) -> None:
        self._hosts = {f"{name}.{traffic.DOMAIN}.": str(address) for name, address in traffic.HOSTS.items()}

    def resolve(self, request: dnslib.DNSRecord, handler: DNSHandler) -> dnslib.DNSRecord:
        reply = request.reply()
        address = self._hosts.get(str(request.q.qname).lower())
        if address is None:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        else:
            reply.add_answer(dnslib.RR(request.q.qname, dnslib.QTYPE.A, rdata=dnslib.A(address), ttl=60))
        return reply


def serve_dnslib() -> None:
    quiet = DNSLogger("-request,-reply,-truncated,-error")
    DNSServer(_Resolver(), port=53, address=str(SERVER), logger=quiet).start()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["tftpy"]:
            serve_tftpy()
        case ["starlette"]:
            serve_starlette()
        case ["dnslib"]:
            serve_dnslib()
        case _:
            sys.exit(__doc__)

"""The BMC of one node: `python -m appliance.lab.bmc_server <spec.json>`. Owns the node's QEMU, which dies with it.

The product's own Redfish service speaks for it, so that every demo and every test of the rack is one of the service;
or OpenIPMI's simulator, for servers that know IPMI only.
"""

import asyncio
import logging
import signal
import socket
import ssl
import sys
from pathlib import Path
from typing import assert_never
from uuid import uuid5

from appliance.lab.backend import QemuBackend
from appliance.lab.ipmi_server import ipmi_served
from appliance.lab.node import Machine
from appliance.lab.spec import BMC_USER, MANUFACTURER, BmcKind, BmcServerSpec
from appliance.model.bmc import AccountRole
from appliance.model.codec import from_json
from appliance.redfish.assembly import World, assembled
from appliance.redfish.model import ServiceInfo
from appliance.redfish.server import HttpPost, serve
from appliance.system import SystemClock, SystemRng


async def run(spec: BmcServerSpec) -> None:
    """Until SIGTERM; the machine is off when this returns."""
    machine = Machine(spec.node, spec.accelerator)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        match spec.node.bmc:
            case BmcKind.REDFISH:
                await _redfish(machine, stop)
            case BmcKind.IPMI:
                async with ipmi_served(machine):
                    _ready()
                    await stop.wait()
            case _:
                assert_never(spec.node.bmc)
    finally:
        machine.off()


async def _redfish(machine: Machine, stop: asyncio.Event) -> None:
    node, clock = machine.node, SystemClock()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(node.certificate, node.key)
    info = ServiceInfo(uuid=uuid5(node.uuid, "bmc"), vendor=MANUFACTURER, product="Virtual BMC", version="1.0")
    async with HttpPost(ssl.create_default_context()) as post:
        world = World(clock=clock, rng=SystemRng(), post=post, allows=lambda _url: True)
        with socket.create_server((str(node.bmc_address), 443)) as listener:
            async with assembled(QemuBackend(machine, clock), info, world) as service:
                await service.accounts.add(BMC_USER, node.password.read_text(), AccountRole.ADMINISTRATOR)
                _ready()
                await serve(service.app, listener, tls, stop)


def _ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    asyncio.run(run(from_json(BmcServerSpec, Path(sys.argv[1]).read_bytes())))


if __name__ == "__main__":
    main()

"""A rack with a daemon that serves Redfish for it, and what tests do with them."""

import http.server
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redfish

from appliance.client import Client
from appliance.lab.demo import daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import BRIDGE_ADDRESS, BmcKind, RackFirmware, RackNode, RackSpec
from appliance.model.hardware import Firmware

APPLIANCE = str(BRIDGE_ADDRESS.ip)
PORT, IMAGES = 443, 8000
URL = f"https://{APPLIANCE}"
ISO = f"http://{APPLIANCE}:{IMAGES}/cd.iso"


class Fleet:
    """The running rack and daemon."""

    def __init__(self, rack: Rack, folder: Path) -> None:
        self.rack, self.folder = rack, folder
        self.client = Client(folder / "api.sock")

    @property
    def authority(self) -> Path:
        return self.folder / "state" / "redfish" / "server.crt"

    @property
    def password(self) -> str:
        return (self.folder / "state" / "redfish" / "first-password").read_text().strip()

    def as_client(self, use: Callable[[Any], Any]) -> Any:
        """Calls `use` with a logged-in client of DMTF's synchronous library, in the rack's network."""

        def inside() -> Any:
            trusted = str(self.authority)
            client = redfish.redfish_client(URL, "admin", self.password, timeout=20, max_retry=1, cafile=trusted)
            client.login(auth="session")
            try:
                return use(client)
            finally:
                client.logout()

        return self.rack.inside(inside)

    def get(self, path: str) -> dict[str, Any]:
        answer = self.as_client(lambda client: client.get(path))
        assert answer.status == 200, answer.text
        document: dict[str, Any] = answer.dict
        return document

    def send(self, method: str, path: str, body: dict[str, Any]) -> None:
        answer = self.as_client(lambda client: getattr(client, method)(path, body=body))
        assert answer.status in (200, 202, 204), answer.text

    def system(self, node: RackNode) -> dict[str, Any]:
        return self.get(system(node))

    def reset(self, node: RackNode, kind: str) -> None:
        self.send("post", f"{system(node)}/Actions/ComputerSystem.Reset", {"ResetType": kind})

    def boot_once(self, node: RackNode, target: str) -> None:
        boot = {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": target}
        self.send("patch", system(node), {"Boot": boot})

    def run(self, *argv: str, seconds: float = 120.0, env: dict[str, str] | None = None) -> str:
        """A program of someone else's in the rack's network: what it said."""
        pipe = subprocess.PIPE
        with self.rack.run(argv, stdout=pipe, stderr=subprocess.STDOUT, cwd=self.folder, env=env) as program:
            said = program.communicate(timeout=seconds)[0].decode(errors="replace")
        assert program.returncode == 0, said[-3000:]
        return said

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 40.0) -> None:
        pace, deadline = threading.Event(), time.monotonic() + seconds
        while not condition():
            log = (self.folder / "daemon.log").read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {log}"
            pace.wait(0.1)

    def says(self, node: RackNode, text: bytes, times: int = 1) -> Callable[[], bool]:
        console = self.rack.console(node)
        return lambda: console.exists() and console.read_bytes().count(text) >= times


def system(node: RackNode) -> str:
    return f"/redfish/v1/Systems/{node.spec.name}"


@contextmanager
def running_fleet(firmware: RackFirmware, folder: Path) -> Iterator[Fleet]:
    """One machine with a Redfish BMC, one that knows IPMI only; the daemon answers."""
    key = make_key(folder)
    bmcs = (BmcKind.REDFISH, BmcKind.IPMI)
    spec = RackSpec(nodes=2, firmware=Firmware.BIOS, workdir=folder, files=firmware, bmcs=bmcs, memory_mib=128)
    with Rack.start(spec) as rack:
        config = daemon_config(folder, socket=folder / "api.sock", key=key, redfish_port=PORT)
        with daemon(rack, config, folder) as process:
            made = Fleet(rack, folder)
            wait_until_ready(made.client.health, lambda: process.poll() is None, folder / "daemon.log")
            yield made


@contextmanager
def serving_images(rack: Rack, body: bytes) -> Iterator[list[str]]:
    """An HTTP server in the rack's network that has one image under every path; the paths that it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = rack.inside(lambda: http.server.ThreadingHTTPServer((APPLIANCE, IMAGES), Handler))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

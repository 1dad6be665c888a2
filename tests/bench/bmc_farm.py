"""Simulated BMCs in one process, each at its own address: `python -m tests.bench.bmc_farm redfish|ipmi FOLDER`.

They are there to cost little, not to be true to a make: `tests/contract` has those. What they keep is the power state
and the boot order of each machine, so that a client which skips a command is found out.
"""

import asyncio
import json
import signal
import socket
import ssl
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.bmc.ipmi.packet import PORT as IPMI_PORT
from appliance.lab.certificate import self_signed
from pxe.memory import settle
from tests.bench.process import Launch
from tests.contract.ipmi_bmc import FakeIpmiBmc

FARM = IPv4Network("10.78.0.0/16")
HTTPS_PORT = 443
USER, PASSWORD = "root", "calvin"
MOST = 1000
ANSWER_SECONDS = 0.05
"""How long a Redfish BMC thinks about each request: a fast one."""

SYSTEM = "/redfish/v1/Systems/1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
_ROOT = "/redfish/v1/"
_CERTIFICATE, _KEY = "certificate.pem", "key.pem"

Document = dict[str, object]


def _link(path: str) -> Document:
    return {"@odata.id": path}


def _collection(*members: str) -> Document:
    return {"Members": [_link(path) for path in members], "Members@odata.count": len(members)}


_INTERFACES = f"{SYSTEM}/EthernetInterfaces"
_TREE: dict[str, Document] = {
    _ROOT: {
        **_link(_ROOT),
        "Id": "RootService",
        "RedfishVersion": "1.15.0",
        **{name: _link(_ROOT + name) for name in ("Systems", "Managers", "Chassis", "UpdateService", "SessionService")},
        "Links": {"Sessions": _link(f"{_ROOT}Sessions")},
    },
    f"{_ROOT}Systems": _collection(SYSTEM),
    SYSTEM: {
        **_link(SYSTEM),
        "Id": "1",
        "Manufacturer": "Innervate",
        "Model": "Farm",
        "SerialNumber": "SN0001",
        "UUID": "4c4c4544-0058-4b10-8039-b7c04f505733",
        "PowerState": "Off",
        "Status": {"Health": "OK", "State": "Enabled"},
        "Boot": {
            "BootSourceOverrideEnabled": "Disabled",
            "BootSourceOverrideMode": "UEFI",
            "BootSourceOverrideTarget": "None",
            "BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe", "Cd", "Hdd", "BiosSetup", "UefiHttp"],
        },
        "EthernetInterfaces": _link(_INTERFACES),
        "Links": {"Chassis": [_link(f"{_ROOT}Chassis/1")], "ManagedBy": [_link(f"{_ROOT}Managers/1")]},
        "Actions": {
            "#ComputerSystem.Reset": {
                "target": RESET,
                "ResetType@Redfish.AllowableValues": ["On", "ForceOff", "ForceRestart", "GracefulShutdown", "Nmi"],
            }
        },
    },
    _INTERFACES: _collection(f"{_INTERFACES}/1", f"{_INTERFACES}/2"),
    f"{_INTERFACES}/1": {**_link(f"{_INTERFACES}/1"), "Id": "1", "PermanentMACAddress": "52:54:00:77:00:01"},
    f"{_INTERFACES}/2": {**_link(f"{_INTERFACES}/2"), "Id": "2", "PermanentMACAddress": "52:54:00:77:00:02"},
}


def address(number: int) -> IPv4Address:
    return FARM[256 + number]


def redfish(folder: Path) -> Launch:
    made = self_signed("bmc", address(0))
    files = {_CERTIFICATE: made.certificate.decode(), _KEY: made.key.decode()}
    return Launch(argv=_argv("redfish", folder), tcp=HTTPS_PORT, files=files)


def fingerprint(folder: Path) -> str:
    """Of the certificate of every BMC that `redfish` launched: SHA-256, hex."""
    return sha256(ssl.PEM_cert_to_DER_cert((folder / _CERTIFICATE).read_text())).hexdigest()


def ipmi(folder: Path) -> Launch:
    return Launch(argv=_argv("ipmi", folder), udp=IPMI_PORT)


def _argv(kind: str, folder: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "tests.bench.bmc_farm", kind, str(folder))


@dataclass
class _Machine:
    system: Document
    sessions: set[str] = field(default_factory=set)
    opened: int = 0


class _Redfish(asyncio.Protocol):
    """HTTP/1.1 as the clients of the bench speak it: no chunks, one request at a time."""

    def __init__(self, farm: Mapping[str, _Machine], documents: Mapping[str, bytes]) -> None:
        self._farm, self._documents = farm, documents
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._machine = self._farm[transport.get_extra_info("sockname")[0]]

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        request, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            return
        self._received = rest[size:]
        method, path, _ = request.split(" ")
        answer = self._answer(method, path, headers.get("x-auth-token", ""), rest[:size])
        asyncio.get_running_loop().call_later(ANSWER_SECONDS, self._send, answer)

    def _send(self, answer: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _answer(self, method: str, path: str, token: str, body: bytes) -> bytes:
        machine = self._machine
        match method, path.removeprefix(_ROOT):
            case "POST", "Sessions":
                return _opened(machine, json.loads(body))
            case "GET", "":
                return self._documents[path]
            case _ if token not in machine.sessions:
                return _response(401, b"{}")
            case "DELETE", _:
                machine.sessions.discard(token)
            case "GET", "Systems/1":
                return _response(200, json.dumps(machine.system).encode())
            case "GET", _:
                return self._documents.get(path) or _response(404, b"{}")
            case "PATCH", "Systems/1":
                machine.system["Boot"] = machine.system["Boot"] | json.loads(body)["Boot"]
            case "POST", "Systems/1/Actions/ComputerSystem.Reset":
                machine.system["PowerState"] = "Off" if json.loads(body)["ResetType"] == "ForceOff" else "On"
            case _:
                return _response(405, b"{}")
        return _response(204)


def _opened(machine: _Machine, said: Document) -> bytes:
    if said != {"UserName": USER, "Password": PASSWORD}:
        return _response(401, b"{}")
    machine.opened += 1
    token = f"token-{machine.opened}"
    machine.sessions.add(token)
    return _response(201, b"{}", f"X-Auth-Token: {token}\r\nLocation: {_ROOT}Sessions/{machine.opened}\r\n")


def _response(status: int, body: bytes = b"", headers: str = "") -> bytes:
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nOData-Version: 4.0\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def machines() -> Callable[[], asyncio.Protocol]:
    """The protocol of a server on many addresses: behind each stands a machine of its own, which is off."""
    farm: defaultdict[str, _Machine] = defaultdict(lambda: _Machine(system=dict(_TREE[SYSTEM])))
    documents = {path: _response(200, json.dumps(document).encode()) for path, document in _TREE.items()}
    return partial(_Redfish, farm, documents)


def tls(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / _CERTIFICATE, folder / _KEY)
    return context


async def _serve_redfish(folder: Path) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(machines(), "0.0.0.0", HTTPS_PORT, ssl=tls(folder), backlog=4096)
    async with server:
        await ended()


class _IpmiBmc(FakeIpmiBmc):
    def open_at(self, where: IPv4Address) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.udp.bind((str(where), IPMI_PORT))
        asyncio.get_running_loop().add_reader(self.udp, self._read)


async def _serve_ipmi(_: Path) -> None:
    bmcs = [_IpmiBmc(users={USER: PASSWORD}, power=True) for _ in range(MOST)]
    for number, bmc in enumerate(bmcs):
        bmc.open_at(address(number))
    await ended()
    for bmc in bmcs:
        bmc.close()


async def ended() -> None:
    """Serves until SIGTERM."""
    settle()
    done = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, done.set)
    await done.wait()


def _main() -> None:
    serve = {"redfish": _serve_redfish, "ipmi": _serve_ipmi}[sys.argv[1]]
    subprocess.run(("ip", "route", "replace", "local", str(FARM), "dev", "lo"), check=True)
    asyncio.run(serve(Path(sys.argv[2])))


if __name__ == "__main__":
    _main()

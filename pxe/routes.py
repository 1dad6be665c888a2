"""What the boot HTTP and TFTP servers have under which name.

/nbp/<name>             network boot programs, the same that TFTP serves as <name>
/artifact/<name>        kernels, ramdisks, images
/autoexec.ipxe          iPXE's first script; also beside each network boot program, where iPXE looks for it
/boot.ipxe?mac=&uuid=   the boot script of one machine
/agent/..., /report     the application
"""

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Address
from typing import Protocol
from uuid import UUID

from pxe.boot import BootIntent, BootPolicy, Endpoints
from pxe.client import Client, Mac, Stage
from pxe.content import BytesContent, Content, ContentTable
from pxe.errors import PacketError
from pxe.http.responder import HttpReply, HttpRequest
from pxe.script import autoexec_script, boot_script

AUTOEXEC = "autoexec.ipxe"

_SCRIPT_PATH = "/boot.ipxe"
_SCRIPT_TYPE = "text/plain"
_NBP = "/nbp/"
_ARTIFACT = "/artifact/"
_APPLICATION = ("/agent/", "/report")
_BOGUS_UUIDS = (UUID(int=0), UUID(int=2**128 - 1))


class Application(Protocol):
    def handle(self, request: HttpRequest) -> HttpReply:
        """Answers /agent/* and /report, in the HTTP server's thread: quick, or everybody waits."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptEvent:
    """A machine was given a boot script; `address` is the one it asked from."""

    mac: Mac
    uuid: UUID | None
    intent: type[BootIntent]
    address: IPv4Address


class BootRoutes:
    """`artifacts` may be replaced from any thread."""

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        programs: ContentTable,
        artifacts: ContentTable,
        policy: BootPolicy,
        application: Application,
        observe: Callable[[ScriptEvent], None],
    ) -> None:
        self.artifacts = artifacts
        self._endpoints = endpoints
        self._programs = programs
        self._policy = policy
        self._application = application
        self._observe = observe

    def content(self, path: str) -> Content | None:
        if path == f"/{AUTOEXEC}":
            return self._programs.content(AUTOEXEC)
        if path.startswith(_NBP):
            return self._programs.content(path.removeprefix(_NBP))
        if path.startswith(_ARTIFACT):
            return self.artifacts.content(path.removeprefix(_ARTIFACT))
        return None

    def is_dynamic(self, path: str) -> bool:
        return path == _SCRIPT_PATH or path.startswith(_APPLICATION)

    def handle(self, request: HttpRequest) -> HttpReply:
        if request.path == _SCRIPT_PATH:
            return self._script(request)
        return self._application.handle(request)

    def _script(self, request: HttpRequest) -> HttpReply:
        if request.method not in ("GET", "HEAD"):
            return HttpReply(status=HTTPStatus.METHOD_NOT_ALLOWED, headers=(("Allow", "GET, HEAD"),))
        try:
            client = client_of(request)
        except PacketError as bad:
            return HttpReply(status=HTTPStatus.BAD_REQUEST, body=f"{bad}\n".encode())
        intent = self._policy.intent_for(client)
        script = boot_script(intent, self._endpoints)
        if request.method == "GET":
            self._observe(ScriptEvent(mac=client.mac, uuid=client.uuid, intent=type(intent), address=request.client))
        return HttpReply(body=script.encode(), media_type=_SCRIPT_TYPE)


def client_of(request: HttpRequest) -> Client:
    """iPXE's own word for itself: `mac` (any notation), `uuid` (SMBIOS, as text). Raises PacketError without a MAC."""
    mac = Mac.parse(request.query.get("mac", "")[:40])
    return Client(mac=mac, stage=Stage.IPXE, uuid=_uuid(request.query.get("uuid", "")))


def _uuid(text: str) -> UUID | None:
    """Machines without one send nothing, rubbish, all 00 or all FF: such a machine still boots, by its MAC."""
    try:
        uuid = UUID(text[:64])
    except ValueError:
        return None
    return None if uuid in _BOGUS_UUIDS else uuid


def with_autoexec(programs: ContentTable, endpoints: Endpoints) -> ContentTable:
    """The programs with iPXE's first script at the top and beside each of them."""
    script = BytesContent(data=autoexec_script(endpoints).encode(), media_type=_SCRIPT_TYPE)
    folders = {name.rpartition("/")[0] for name in programs}
    scripts = {f"{folder}/{AUTOEXEC}".lstrip("/"): script for folder in ("", *folders)}
    return ContentTable({**scripts, **programs.entries})

"""What the boot HTTP and TFTP servers have under which name.

/nbp/<name>                               network boot programs, the same that TFTP serves as <name>
/artifact/<name>                          kernels, ramdisks, images
/a/<machine>/<attempt>/artifact/<name>    the same, for one boot of one machine; 410 when another boot counts by now
/autoexec.ipxe                            iPXE's first script; also beside each program, where iPXE looks for it
/grub/grub.cfg                            GRUB's first configuration
/boot.ipxe?mac=&uuid=                     the boot script of one machine
/boot.grub?mac=&uuid=                     the same for GRUB
/agent/..., /install/..., /report         the application
"""

import re
from collections.abc import Callable
from http import HTTPStatus
from ipaddress import IPv4Address
from types import MappingProxyType
from typing import NamedTuple, Protocol
from uuid import UUID

from pxe.boot import BootIntent, BootPolicy, Endpoints, RunKernel
from pxe.client import Client, Mac, Stage
from pxe.content import BytesContent, Content, ContentTable
from pxe.errors import PacketError
from pxe.http.responder import HttpReply, HttpRequest
from pxe.script import autoexec_script, boot_config, boot_script, start_config

AUTOEXEC = "autoexec.ipxe"
GRUB_CONFIG = "grub/grub.cfg"

_SCRIPTS = MappingProxyType({"/boot.ipxe": boot_script, "/boot.grub": boot_config})
_FIRST_SCRIPTS = frozenset((f"/{AUTOEXEC}", f"/{GRUB_CONFIG}"))
_SCRIPT_TYPE = "text/plain"
_NBP = "/nbp/"
_ARTIFACT = "/artifact/"
_APPLICATION = ("/agent/", "/install/", "/report")
_ATTEMPT = re.compile(
    r"/a/(?P<mac>([0-9a-f]{2}-){5}[0-9a-f]{2})(\.(?P<uuid>[0-9a-f-]{36}))?/(?P<attempt>[^/]{1,128})(?P<path>/artifact/.+)"
)
_BOGUS_UUIDS = frozenset((0, 2**128 - 1))


class Application(Protocol):
    def handle(self, request: HttpRequest) -> HttpReply:
        """Answers /agent/*, /install/* and /report, in the HTTP server's worker threads: several at once."""
        ...


class ScriptEvent(NamedTuple):
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
        if (own := _ATTEMPT.fullmatch(path)) is not None:
            return self.content(own["path"]) if self._counts(own) else None
        if path in _FIRST_SCRIPTS:
            return self._programs.content(path.removeprefix("/"))
        if path.startswith(_NBP):
            return self._programs.content(path.removeprefix(_NBP))
        if path.startswith(_ARTIFACT):
            return self.artifacts.content(path.removeprefix(_ARTIFACT))
        return None

    def is_dynamic(self, path: str) -> bool:
        return path in _SCRIPTS or path.startswith(_APPLICATION) or self._is_stale(path)

    def is_slow(self, path: str) -> bool:
        return path.startswith(_APPLICATION)

    def handle(self, request: HttpRequest) -> HttpReply:
        if (script := _SCRIPTS.get(request.path)) is not None:
            return self._script(request, script)
        if request.path.startswith(_APPLICATION):
            return self._application.handle(request)
        return _STALE

    def _script(self, request: HttpRequest, script: Callable[[BootIntent, Client, Endpoints], str]) -> HttpReply:
        if request.method not in ("GET", "HEAD"):
            return HttpReply(status=HTTPStatus.METHOD_NOT_ALLOWED, headers=(("Allow", "GET, HEAD"),))
        try:
            client = client_of(request)
        except PacketError as bad:
            return HttpReply(status=HTTPStatus.BAD_REQUEST, body=f"{bad}\n".encode())
        intent = self._policy.intent_for(client)
        text = script(intent, client, self._endpoints)
        if request.method == "GET":
            self._observe(ScriptEvent(mac=client.mac, uuid=client.uuid, intent=type(intent), address=request.client))
        return HttpReply(body=text.encode(), media_type=_SCRIPT_TYPE)

    def _is_stale(self, path: str) -> bool:
        own = _ATTEMPT.fullmatch(path)
        return own is not None and not self._counts(own)

    def _counts(self, own: re.Match[str]) -> bool:
        """The decision that made the script is made again: there is no second truth about which boot counts."""
        client = Client(mac=Mac.parse(own["mac"]), stage=Stage.IPXE, uuid=_uuid(own["uuid"] or ""))
        intent = self._policy.intent_for(client)
        return isinstance(intent, RunKernel) and intent.attempt == own["attempt"]


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
    return None if uuid.int in _BOGUS_UUIDS else uuid


_STALE = HttpReply(
    status=HTTPStatus.GONE,
    body=b"this boot has been given up or replaced by a newer one; ask for a new boot script\n",
)


def with_scripts(programs: ContentTable, endpoints: Endpoints) -> ContentTable:
    """The programs with GRUB's first configuration, and iPXE's first script at the top and beside each of them."""
    config = BytesContent(data=start_config(endpoints).encode(), media_type=_SCRIPT_TYPE)
    script = BytesContent(data=autoexec_script(endpoints).encode(), media_type=_SCRIPT_TYPE)
    folders = {name.rpartition("/")[0] for name in programs}
    scripts = {f"{folder}/{AUTOEXEC}".lstrip("/"): script for folder in ("", *folders)}
    return ContentTable({GRUB_CONFIG: config, **scripts, **programs.entries})

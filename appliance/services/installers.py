"""The node-facing side of installers: their answers, and what they say, below /install/NONCE/.

Runs in the boot HTTP server's worker threads. Whoever names the nonce of a boot that counts is answered; a nonce of
another one is gone. What has to be on record before the installer goes on, it asks for until it is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Address
from threading import Lock
from types import MappingProxyType
from typing import Protocol

from appliance.boot import Guest, Snapshot
from appliance.errors import InnervateError
from appliance.install.answers import answer_files, answers_name
from appliance.install.target import Found, objection
from appliance.model.ids import MachineName, Nonce
from appliance.model.ignition import Config
from appliance.model.site import BootNetwork
from appliance.model.text import clean
from appliance.plan import RunInstaller
from appliance.services.okd_given import OkdGiven
from appliance.store.records import InstallerStage
from images.agent.disks import plain
from pxe.http.responder import HttpReply, HttpRequest
from pxe.ports import Clock
from pxe.routes import Application

PREFIX = "/install/"
_WORD = 300
_WORDS_APART = 60.0
_NOBODYS = HttpReply(status=HTTPStatus.GONE, body=b"this boot has been given up or replaced by a newer one\n")
_UNKNOWN = HttpReply(status=HTTPStatus.NOT_FOUND, body=b"no such call\n")
_WELL = HttpReply(status=HTTPStatus.NO_CONTENT)
_NOT_YET = HttpReply(status=HTTPStatus.SERVICE_UNAVAILABLE, body=b"not on record yet: ask again\n")


class Listener(Protocol):
    """Who is told what installers said; called from HTTP threads, must only hand on."""

    def installer(self, machine: MachineName, nonce: Nonce, stage: InstallerStage, detail: str) -> None: ...

    def log(self, machine: MachineName, offset: int, text: bytes) -> None: ...

    def refused(self, client: IPv4Address, why: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    word: str
    at: float


class InstallDesk:
    """`origin` is this HTTP server as machines reach it, `configs` are what the site program says to Ignition, `okd` is
    what machines of such clusters boot with; None where there are none."""

    def __init__(
        self,
        current: Callable[[], Snapshot],
        listener: Listener,
        origin: str,
        network: BootNetwork,
        clock: Clock,
        configs: Mapping[str, Config] = MappingProxyType({}),
        okd: OkdGiven | None = None,
    ) -> None:
        self._current = current
        self._listener = listener
        self._origin = origin
        self._network = network
        self._clock = clock
        self._configs, self._okd = configs, okd
        self._said: dict[MachineName, _Said] = {}
        self._lock = Lock()

    def handle(self, request: HttpRequest) -> HttpReply:
        nonce, _, name = request.path.removeprefix(PREFIX).partition("/")
        guest = self._current().guests.get(Nonce(nonce))
        if guest is None:
            self._listener.refused(request.client, "an installer's nonce is of no boot that we wait for")
            return _NOBODYS
        if request.method == "GET":
            return self._file(guest, name, request)
        return self._heard(guest, name, request) if request.method == "POST" else _UNKNOWN

    def _file(self, guest: Guest, name: str, request: HttpRequest) -> HttpReply:
        if not guest.at_work or guest.installing.done:
            return _NOBODYS
        do, nonce = guest.installing.do, guest.installing.nonce
        try:
            files = self._files(do, nonce)
        except InnervateError as error:
            self._tell(guest, InstallerStage.FAILED, f"{error}: {error.evidence}")
            return HttpReply(status=HTTPStatus.INTERNAL_SERVER_ERROR, body=f"{error}\n".encode())
        if name not in files:
            return _UNKNOWN
        if name == answers_name(do.installer.answers):
            self._tell(guest, InstallerStage.ANSWERS, f"answers to {request.client}, nonce {nonce[:8]}")
        return HttpReply(body=files[name])

    def _files(self, do: RunInstaller, nonce: Nonce) -> Mapping[str, bytes]:
        if do.okd is not None and self._okd is not None:
            return self._okd.files(do, nonce, self._origin)
        return answer_files(do, nonce, self._origin, self._network, self._configs)

    def _heard(self, guest: Guest, call: str, request: HttpRequest) -> HttpReply:
        match call:
            case "word":
                self._word(guest, _text(request))
                return _WELL
            case "log":
                offset = request.query.get("offset", "")[:15]
                if not (offset.isascii() and offset.isdigit()):
                    return HttpReply(status=HTTPStatus.BAD_REQUEST, body=b"the offset is no number\n")
                self._listener.log(guest.machine, int(offset), request.body)
                return _WELL
            case "failed":
                self._tell(guest, InstallerStage.FAILED, _text(request))
                return _WELL
            case "disk":
                return self._disk(guest, request)
            case "done":
                return self._once(guest, InstallerStage.DONE, _text(request), on_record=guest.installing.done)
            case _:
                return _UNKNOWN

    def _disk(self, guest: Guest, request: HttpRequest) -> HttpReply:
        if not guest.at_work:
            return _NOBODYS
        size = request.query.get("size", "")[:20]
        found = Found(
            serial=plain(request.query.get("serial", "")),
            wwn=plain(request.query.get("wwn", "")),
            size_bytes=int(size) if size.isascii() and size.isdigit() else 0,
            start=request.body,
        )
        wanted, granted = guest.installing.do.disk, guest.installing.granted
        if why := objection(wanted, found, again=granted):
            self._tell(guest, InstallerStage.FAILED, why)
            return HttpReply(status=HTTPStatus.FORBIDDEN, body=f"{why}\n".encode())
        named = f"serial {found.serial or '-'}, WWN {found.wwn or '-'}, {found.size_bytes} bytes"
        return self._once(guest, InstallerStage.DISK, f"writes to {named}", on_record=granted)

    def _once(self, guest: Guest, stage: InstallerStage, detail: str, *, on_record: bool) -> HttpReply:
        """A daemon that dies before the record is durable is asked again, when it is back."""
        if on_record:
            return _WELL
        self._tell(guest, stage, detail)
        return _NOT_YET

    def _word(self, guest: Guest, word: str) -> None:
        """Each item of its menu, and else one in a minute: a log of thousands of packages would fill ours."""
        now = self._clock.monotonic()
        with self._lock:
            last = self._said.get(guest.machine)
            item = word.partition(":")[0]
            if last is not None and now - last.at < _WORDS_APART and last.word.partition(":")[0] == item:
                return
            self._said[guest.machine] = _Said(word=word, at=now)
        self._tell(guest, InstallerStage.WORD, word)

    def _tell(self, guest: Guest, stage: InstallerStage, detail: str) -> None:
        self._listener.installer(guest.machine, guest.installing.nonce, stage, detail)


class FrontDesk:
    """Who answers what nodes ask."""

    def __init__(self, agents: Application, installers: Application) -> None:
        self._agents, self._installers = agents, installers

    def handle(self, request: HttpRequest) -> HttpReply:
        desk = self._installers if request.path.startswith(PREFIX) else self._agents
        return desk.handle(request)


def _text(request: HttpRequest) -> str:
    return clean(request.body[: 4 * _WORD].decode("utf-8", "replace"), _WORD)

"""A Redfish service in the likeness of a make: its documents are in tests/golden/bmc, its habits in the rows below."""

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.bmc.redfish import RedfishBmc, RedfishDialler, RedfishLimits
from appliance.lab.certificate import self_signed
from appliance.model.bmc import BmcEndpoint
from appliance.model.secret import Secret

GOLDEN = Path(__file__).parents[1] / "golden" / "bmc"
Document = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class VirtualClock:
    """Sleeping is what makes its time pass."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def now(self) -> float:
        return 1_700_000_000.0 + sum(self.sleeps)

    def monotonic(self) -> float:
        return sum(self.sleeps)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


@dataclass(frozen=True, kw_only=True)
class Habits:
    """`settings`: where boot changes belong; `whole`: incomplete boot changes are accepted and forgotten; `gap`:
    seconds after a change before which the next is refused; `tasks`: boot changes become tasks; `etags`: If-Match is
    demanded; `leaves`: a leaf is known only after its parent was asked for; `body`: an action without one is refused;
    `protocol`: InsertMedia wants its TransferProtocolType.
    """

    settings: str = ""
    whole: bool = False
    gap: float = 0.0
    tasks: bool = False
    etags: bool = False
    leaves: bool = False
    body: bool = False
    protocol: bool = False


HABITS = {
    "dell": Habits(settings="Settings", gap=20.0, tasks=True),
    "hpe": Habits(body=True),
    "supermicro": Habits(whole=True),
    "lenovo": Habits(etags=True, leaves=True),
    "ami": Habits(settings="SD", etags=True, protocol=True),
}


def tree_of(make: str) -> dict[str, Document]:
    tree: dict[str, Document] = json.loads((GOLDEN / f"{make}.json").read_bytes())["tree"]
    return tree


class RedfishService:
    """`answers` go before all else, by "METHOD path"; `sent` is what requests carried."""

    def __init__(self, folder: Path, tree: dict[str, Document], habits: Habits | None = None) -> None:
        self.tree = tree
        self.habits = habits or Habits()
        self.answers: dict[str, Handler] = {}
        self.requests: list[str] = []
        self.sent: list[tuple[str, Document]] = []
        self.sessions: set[str] = set()
        self.opened = 0
        self.password = "calvin"
        self.clock = VirtualClock()
        self._made = self_signed("bmc", IPv4Address("127.0.0.1"))
        self._folder = folder
        self._changed_at = float("-inf")
        self._asked: set[str] = set()
        self._tasks: dict[str, list[int]] = {}

    @asynccontextmanager
    async def serve(self, limits: RedfishLimits | None = None, pin: str = "") -> AsyncIterator[RedfishBmc]:
        runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
        runner.app.router.add_route("*", "/{path:.*}", self._answer)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls()).start()
        endpoint = BmcEndpoint(
            url=f"https://127.0.0.1:{runner.addresses[0][1]}",
            user="root",
            password=Secret("calvin"),
            fingerprint=pin or self._made.fingerprint,
        )
        dialler = RedfishDialler(self.clock, limits)
        try:
            yield dialler.dial(endpoint)
        finally:
            await dialler.close()
            await runner.cleanup()

    def _tls(self) -> ssl.SSLContext:
        certificate, key = self._folder / "crt", self._folder / "key"
        certificate.write_bytes(self._made.certificate)
        key.write_bytes(self._made.key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        return context

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        name = f"{request.method} {request.path_qs}"
        text = await request.text()
        body = json.loads(text) if text else None
        self.requests.append(name)
        if body is not None:
            self.sent.append((name, body))
        if name in self.answers:
            return await self.answers[name](request)
        if name == "POST /redfish/v1/Sessions":
            return self.open(body)
        token = request.headers.get("X-Auth-Token", "")
        basic = request.headers.get("Authorization", "") == "Basic cm9vdDpjYWx2aW4="
        if request.path != "/redfish/v1/" and token not in self.sessions and not basic:
            return web.json_response({}, status=401)
        match request.method:
            case "DELETE":
                self.sessions.discard(token)
                return web.Response(status=204)
            case "GET":
                return self._get(request.path_qs)
            case "PATCH":
                return self._patch(request, body)
            case _:
                return self._post(request.path, body)

    def open(self, body: Document) -> web.StreamResponse:
        if body != {"UserName": "root", "Password": self.password}:
            return web.json_response({}, status=401)
        self.opened += 1
        token = f"token-{self.opened}"
        self.sessions.add(token)
        headers = {"X-Auth-Token": token, "Location": f"/redfish/v1/Sessions/{self.opened}"}
        return web.json_response({}, status=201, headers=headers)

    def _get(self, path: str) -> web.StreamResponse:
        if path in self._tasks:
            return self._look(self._tasks[path])
        parent = path.rpartition("/")[0]
        hidden = self.habits.leaves and parent in self.tree and parent not in self._asked
        if path not in self.tree or hidden:
            return web.json_response({}, status=404)
        self._asked.add(path)
        return web.json_response(self.tree[path], headers={"ETag": self._etag(path)})

    def _etag(self, path: str) -> str:
        return f'"{abs(hash(json.dumps(self.tree[path])))}"' if self.habits.etags else 'W/"1"'

    def _look(self, answers: list[int]) -> web.StreamResponse:
        percent = answers.pop(0)
        if percent < 0:
            return web.json_response({}, status=404)
        state = "Completed" if percent == 100 else "Running"
        document = {"TaskState": state, "TaskStatus": "OK", "PercentComplete": percent}
        return web.json_response(document, status=200 if percent == 100 else 202)

    def _begin(self) -> web.StreamResponse:
        path = f"/redfish/v1/TaskService/TaskMonitors/{len(self._tasks) + 1}"
        self._tasks[path] = [-1, 0, 50, 100]
        return web.json_response({}, status=202, headers={"Location": path})

    def _too_soon(self) -> bool:
        soon = self.clock.monotonic() - self._changed_at < self.habits.gap
        self._changed_at = self.clock.monotonic()
        return soon

    def _patch(self, request: web.Request, body: Document) -> web.StreamResponse:
        path, boot = request.path, body.get("Boot")
        if self.habits.etags and request.headers.get("If-Match") != self._etag(path):
            return web.json_response({}, status=412)
        if self._too_soon():
            entry = {"MessageId": "IDRAC.2.8.SYS518", "Message": "Data sources are unavailable."}
            return web.json_response({"error": {"@Message.ExtendedInfo": entry}}, status=503)
        if boot is not None and self.habits.settings and not path.endswith(f"/{self.habits.settings}"):
            return web.json_response({"error": {"message": "PATCH the settings"}}, status=400)
        if boot is not None and self.habits.whole and len(boot) < 3:
            return web.Response(status=204)
        if "Password" in body:
            self.password = body["Password"]
            return web.Response(status=204)
        _merge(self.tree[path], body)
        return self._begin() if boot is not None and self.habits.tasks else web.Response(status=204)

    def _post(self, path: str, body: Document | None) -> web.StreamResponse:
        if self._too_soon() or (body is None and self.habits.body):
            return web.json_response({}, status=400)
        what, _, action = path.rpartition("/Actions/")
        match action:
            case "ComputerSystem.Reset":
                self._reset(what, (body or {})["ResetType"])
            case "VirtualMedia.InsertMedia" if self.habits.protocol and "TransferProtocolType" not in (body or {}):
                return web.json_response({"error": {"message": "TransferProtocolType is missing"}}, status=400)
            case "VirtualMedia.InsertMedia":
                self.tree[what] |= {"Image": (body or {})["Image"], "Inserted": True}
            case "VirtualMedia.EjectMedia":
                self.tree[what] |= {"Image": None, "Inserted": False}
            case "LogService.ClearLog":
                self.tree[f"{what}/Entries"] = {"Members": []}
            case "SimpleUpdate":
                return self._begin()
            case "Manager.Reset":
                self.sessions.clear()
            case _:
                return web.json_response({}, status=404)
        return web.Response(status=204)

    def _reset(self, system: str, kind: str) -> None:
        document = self.tree[system]
        document["PowerState"] = "Off" if kind in ("ForceOff", "GracefulShutdown") else "On"
        if document["PowerState"] == "On" and kind != "Nmi":
            for held in (document, self.tree.get(f"{system}/{self.habits.settings}", {})):
                if held.get("Boot", {}).get("BootSourceOverrideEnabled") == "Once":
                    held["Boot"] |= {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}


def _merge(document: Document, change: Document) -> None:
    for key, value in change.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            _merge(document[key], value)
        else:
            document[key] = value

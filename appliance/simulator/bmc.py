"""A simulated BMC: what it answers to a request, by its make's habits and with the fault that it was given.

It knows no sockets: `appliance.simulator.server` sends what `answer` returns. What its machine really did is in
`machine`, and what it was asked in `requests` and `sent`.
"""

import base64
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count

from appliance.bmc.redfish_codec import JsonObject
from appliance.ports import Clock
from appliance.simulator import changes
from appliance.simulator.changes import Effect, RefusedError
from appliance.simulator.faults import (
    BUSY_TIMES,
    IN_PLACE,
    PLAIN,
    Fault,
    Injection,
    Reply,
    Strike,
    of_answers,
    refusal,
    said,
    spoiled,
)
from appliance.simulator.personality import Habits, Tree
from appliance.simulator.state import Machine

ROOT = "/redfish/v1/"
SESSIONS = "/redfish/v1/Sessions"
_TASKS = "/redfish/v1/TaskService/TaskMonitors"
_ACTIONS = "/Actions/"
_TOO_SOON_SECONDS = 60.0
_CHANGES = ("POST", "PATCH")
_DONE = Reply(status=204)
_ABSENT = refusal(404, "Base.1.18.ResourceMissingAtURI", "There is no such resource.")
_DENIED = refusal(401, "Base.1.18.NoValidSession", "There is no valid session.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`path` is with its query; names of `headers` are in lower case; `body` is None where none was sent."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: JsonObject | None = None


@dataclass(slots=True, kw_only=True)
class _Task:
    """`looks` are the percentages that it shows in turn, the last one for ever; a negative one: HTTP 404."""

    looks: list[int]
    effect: Effect


class SimulatedBmc:
    """`opened` counts sessions, `resets` those of the BMC itself. All members may be read and set by whoever plays."""

    def __init__(self, tree: Tree, habits: Habits, clock: Clock, *, user: str, password: str) -> None:
        self.tree, self.habits, self.clock = tree, habits, clock
        self.user, self.password = user, password
        self.machine = Machine()
        self.requests: list[str] = []
        self.sent: list[tuple[str, JsonObject]] = []
        self.sessions: set[str] = set()
        self.opened = self.resets = 0
        self.injection: Injection | None = None
        self._changed_at = float("-inf")
        self._asked: set[str] = set()
        self._tasks: dict[str, _Task] = {}
        self._refused: Counter[tuple[str, str]] = Counter()
        self._reads = count()

    def inject(self, injection: Injection | None) -> None:
        """From now on; None heals. What the fault takes away from clients is gone at once."""
        self.injection = injection
        self._asked.clear()
        self._refused.clear()
        if self._has(Fault.SESSIONS_FULL):
            self.sessions.clear()
        if self._has(Fault.TOO_SOON):
            self._changed_at = self.clock.monotonic()

    def _has(self, fault: Fault) -> bool:
        return self.injection is not None and self.injection.fault is fault

    def answer(self, request: Request) -> Reply:
        name = f"{request.method} {request.path}"
        self.requests.append(name)
        if request.body is not None:
            self.sent.append((name, request.body))
        struck = self._struck(request)
        if struck is None:
            return self._carried_out(request)
        in_place = struck.fault in IN_PLACE and struck.strike is not Strike.AFTER
        return spoiled(struck.fault, PLAIN if in_place else self._carried_out(request), request.path)

    def _struck(self, request: Request) -> Injection | None:
        injection = self.injection
        if injection is None or not of_answers(injection.fault):
            return None
        change = request.method in _CHANGES and request.path != SESSIONS
        if injection.strike is not Strike.ALWAYS and not change:
            return None
        if injection.fault is Fault.BUSY:
            self._refused[request.method, request.path] += 1
            if self._refused[request.method, request.path] > BUSY_TIMES:
                return None
        return injection

    def _carried_out(self, request: Request) -> Reply:
        if request.method == "POST" and request.path == SESSIONS:
            return self.open_session(request.body or {})
        if request.path != ROOT and not self._knows(request):
            return _DENIED
        try:
            match request.method:
                case "GET":
                    return self._get(request.path)
                case "DELETE":
                    self.sessions.discard(request.headers.get("x-auth-token", ""))
                    return _DONE
                case "PATCH":
                    return self._precondition(request) or self._too_soon("PATCH") or self._patch(request)
                case "POST":
                    return self._too_soon("POST") or self._post(request.path, request.body)
                case _:
                    return Reply(status=405)
        except RefusedError as error:
            return refusal(400, "Base.1.18.GeneralError", str(error))

    # --- sessions ---------------------------------------------------------------------------------------------

    def _knows(self, request: Request) -> bool:
        basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        token = request.headers.get("x-auth-token", "")
        return token in self.sessions or request.headers.get("authorization") == f"Basic {basic}"

    def open_session(self, body: JsonObject) -> Reply:
        if self._has(Fault.SESSIONS_FULL):
            return refusal(503, "Base.1.18.SessionLimitExceeded", "The session limit has been exceeded.")
        if body != {"UserName": self.user, "Password": self.password}:
            return _DENIED
        self.opened += 1
        token = f"token-{self.opened}"
        self.sessions.add(token)
        return said({}, status=201, headers={"X-Auth-Token": token, "Location": f"{SESSIONS}/{self.opened}"})

    # --- what is read -----------------------------------------------------------------------------------------

    def _get(self, path: str) -> Reply:
        if path in self._tasks:
            return self._look(self._tasks[path])
        parent = path.rpartition("/")[0]
        forgets = self.habits.leaves or self._has(Fault.FORGETS_LEAVES)
        if path not in self.tree or (forgets and parent in self.tree and parent not in self._asked):
            return _ABSENT
        self._asked.add(path)
        return said(self.tree[path], headers={"ETag": self._shown_etag(path)})

    def _shown_etag(self, path: str) -> str:
        if self._has(Fault.BAD_ETAGS):
            return '""' if next(self._reads) % 2 else f"W/{self._etag(path)}"
        return self._etag(path) if self.habits.etags else 'W/"1"'

    def _etag(self, path: str) -> str:
        return f'"{sha256(json.dumps(self.tree[path]).encode()).hexdigest()[:16]}"'

    # --- tasks ------------------------------------------------------------------------------------------------

    def _begin(self, effect: Effect) -> Reply:
        path = f"{_TASKS}/{len(self._tasks) + 1}"
        looks = [0, -1] if self._has(Fault.LOST_TASKS) else [-1, 0, 50, 100]
        self._tasks[path] = _Task(looks=looks, effect=effect)
        return said({}, status=202, headers={"Location": path})

    def _look(self, task: _Task) -> Reply:
        percent = task.looks[0]
        if len(task.looks) > 1:
            task.looks.pop(0)
        if percent < 0:
            return _ABSENT
        if percent == 100:
            effect, task.effect = task.effect, changes.nothing
            effect()
        state = "Completed" if percent == 100 else "Running"
        document: JsonObject = {"TaskState": state, "TaskStatus": "OK", "PercentComplete": percent}
        return said(document, status=200 if percent == 100 else 202)

    # --- what is changed --------------------------------------------------------------------------------------

    def _too_soon(self, method: str) -> Reply | None:
        since = self.clock.monotonic() - self._changed_at
        if self._has(Fault.TOO_SOON) and since < _TOO_SOON_SECONDS:
            return refusal(400, "Base.1.18.GeneralError", "Another change is still in progress.")
        if since < self.habits.gap:
            status = 503 if method == "PATCH" else 400
            return refusal(status, "IDRAC.2.8.SYS518", "Data sources are unavailable.")
        self._changed_at = self.clock.monotonic()
        return None

    def _patch(self, request: Request) -> Reply:
        path, body = request.path, request.body or {}
        if isinstance(password := body.get("Password"), str):
            self.password = password
            return _DONE
        if self._has(Fault.NEEDS_RESET):
            return _needs_reset()
        boot = body.get("Boot")
        effect = self._set_boot(path, boot) if isinstance(boot, dict) else self._set_other(path, body)
        if isinstance(boot, dict) and self.habits.tasks:
            return self._begin(effect)
        effect()
        return _DONE

    def _precondition(self, request: Request) -> Reply | None:
        if request.path not in self.tree:
            return _ABSENT
        if_match = request.headers.get("if-match")
        if self._has(Fault.STALE_ETAGS):
            return refusal(412, "Base.1.18.PreconditionFailed", "The ETag did not match.")
        if if_match is None and self.habits.etags:
            return refusal(428, "Base.1.18.PreconditionRequired", "A precondition header is required.")
        if if_match in (None, "*", self._etag(request.path)):
            return None
        return refusal(412, "Base.1.18.PreconditionFailed", "The ETag did not match.")

    def _set_boot(self, path: str, asked: JsonObject) -> Effect:
        if self.habits.settings and not path.endswith(f"/{self.habits.settings}"):
            raise RefusedError("PATCH the settings")
        drops_mode = self._has(Fault.DROPS_BOOT_MODE)
        return changes.set_boot(self.tree[path], self.machine, asked, self.habits, drops_mode=drops_mode)

    def _set_other(self, path: str, body: JsonObject) -> Effect:
        if "Image" in body:
            return changes.set_medium(self.tree[path], self.machine, body["Image"])
        return changes.set_indicator(self.tree[path], self.machine, body)

    def _post(self, path: str, body: JsonObject | None) -> Reply:
        what, _, action = path.rpartition(_ACTIONS)
        if body is None and self.habits.body:
            raise RefusedError("a body is missing")
        if action == "Manager.Reset":
            return self._reset_itself()
        if self._has(Fault.NEEDS_RESET):
            return _needs_reset()
        if what not in self.tree:
            return _ABSENT
        return self._act(what, action, body or {})

    def _act(self, what: str, action: str, body: JsonObject) -> Reply:
        match action:
            case "ComputerSystem.Reset":
                self._power(what, body)
            case "VirtualMedia.InsertMedia":
                if ("TransferProtocolType" in body) is not self.habits.protocol:
                    raise RefusedError("TransferProtocolType is missing, or not supported")
                changes.set_medium(self.tree[what], self.machine, body.get("Image", ""))()
            case "VirtualMedia.EjectMedia":
                changes.set_medium(self.tree[what], self.machine, None)()
            case "LogService.ClearLog":
                self.tree[f"{what}/Entries"] = {"Members": []}
            case "SimpleUpdate":
                return self._begin(changes.update(self.machine, body))
            case _:
                return _ABSENT
        return _DONE

    def _power(self, what: str, body: JsonObject) -> None:
        command = changes.reset(self.tree, what, body, self.habits)
        changes.show_power(self.tree, what, command, self.habits)
        if not self._has(Fault.LIES_ABOUT_POWER):
            self.machine.command(command, self.clock.now())

    def _reset_itself(self) -> Reply:
        self.resets += 1
        self.sessions.clear()
        if self._has(Fault.NEEDS_RESET):
            self.inject(None)
        return _DONE


def _needs_reset() -> Reply:
    return refusal(409, "Base.1.18.ResetRequired", "In order to apply changes, a reset is required.")

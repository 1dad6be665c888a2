"""Asks a Redfish service by values, without a socket; the clock stands still until it is told to go on."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from appliance.model.bmc import AccountRole
from appliance.redfish.accounts import AuthLimits
from appliance.redfish.assembly import Assembly, World, assembled
from appliance.redfish.exchange import Request, Response
from appliance.redfish.model import ServiceInfo
from appliance.redfish.simulated import SimulatedBackend, simulated_view
from appliance.system import SystemRng

UUID_ = UUID("00000000-0000-4000-8000-00000000c0de")
PASSWORDS = {role: f"password of {role.value}" for role in AccountRole}
V1 = "/redfish/v1"
SYSTEM = f"{V1}/Systems/node1"
RESET = f"{SYSTEM}/Actions/ComputerSystem.Reset"
SESSIONS = f"{V1}/SessionService/Sessions"


@dataclass
class HandClock:
    """A sleep is over when the others have had their turn; it moves the time."""

    time: float = 1_000_000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, object]:
        """Of a JSON object."""
        value = json.loads(self.raw)
        assert isinstance(value, dict)
        return value

    @property
    def message_ids(self) -> list[str]:
        """Of the error object, or of the annotation: the part after the registry."""
        holder = self.body.get("error", self.body)
        assert isinstance(holder, dict)
        return [message["MessageId"].rpartition(".")[2] for message in holder["@Message.ExtendedInfo"]]

    def at(self, *path: str | int) -> object:
        value: object = self.body
        for step in path:
            assert isinstance(value, dict | list)
            value = value[step]  # type: ignore[index]  # a list has numbers, a dict names
        return value


def read(response: Response) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.headers}, response.body)


def basic(name: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


@dataclass
class Asker:
    made: Assembly
    backend: SimulatedBackend
    clock: HandClock = field(default_factory=HandClock)
    posted: list[tuple[str, bytes]] = field(default_factory=list)

    async def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        role: AccountRole | None = AccountRole.ADMINISTRATOR,
    ) -> Answer:
        """`role` None asks as nobody; bytes are sent as they are."""
        login = {} if role is None else basic(role.value, PASSWORDS[role])
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(method=method, target=target, headers={**login, **(headers or {})}, body=data)
        return read(await self.made.service.respond(request))

    async def get(self, target: str, **headers: str) -> Answer:
        return await self.ask("GET", target, headers={name.replace("_", "-"): text for name, text in headers.items()})

    async def token(self, role: AccountRole = AccountRole.ADMINISTRATOR) -> tuple[str, str]:
        """A new session's URI and token."""
        made = await self.ask("POST", SESSIONS, {"UserName": role.value, "Password": PASSWORDS[role]}, role=None)
        assert made.status == 201, made
        return made.headers["location"], made.headers["x-auth-token"]


@asynccontextmanager
async def asking(machines: int = 1, limits: AuthLimits | None = None) -> AsyncIterator[Asker]:
    clock, posted = HandClock(), list[tuple[str, bytes]]()

    async def post(url: str, body: bytes) -> int:
        posted.append((url, body))
        return 204

    world = World(clock=clock, rng=SystemRng(), post=post, allows=lambda url: "forbidden" not in url)
    backend = SimulatedBackend([simulated_view(number + 1) for number in range(machines)], clock)
    info = ServiceInfo(uuid=UUID_, vendor="Acme", product="Rack", version="1")
    async with assembled(backend, info, world, limits) as made:
        for role, password in PASSWORDS.items():
            await made.accounts.add(role.value, password, role)
        yield Asker(made, backend, clock, posted)


def play(scene: Callable[[Asker], Awaitable[None]], *, machines: int = 1, limits: AuthLimits | None = None) -> None:
    async def whole() -> None:
        async with asyncio.timeout(60), asking(machines, limits) as asker:
            await scene(asker)

    asyncio.run(whole())

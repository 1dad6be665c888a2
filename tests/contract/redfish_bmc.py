"""A simulated BMC before our driver, whose answers a test can replace one by one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.bmc.redfish import RedfishBmc, RedfishDialler, RedfishLimits
from appliance.lab.certificate import self_signed
from appliance.simulator.bmc import SimulatedBmc
from appliance.simulator.personality import HABITS, Habits, Make
from appliance.simulator.personality import tree_of as _tree_of
from appliance.simulator.server import LOOPBACK, BmcServer, Papers, send

Document = dict[str, Any]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
MAKES = tuple(make.value for make in Make)


class VirtualClock:
    """Sleeping is what makes its time pass."""

    def __init__(self) -> None:
        self.sleeps: list[float] = []

    def now(self) -> float:
        return 1_700_000_000.0 + self.monotonic()

    def monotonic(self) -> float:
        return sum(self.sleeps)

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)


def tree_of(make: str) -> dict[str, Document]:
    return _tree_of(Make(make))


def habits_of(make: str) -> Habits:
    return HABITS[Make(make)]


class RedfishService(SimulatedBmc):
    """`answers` go before all else, by "METHOD path"."""

    def __init__(self, folder: Path, tree: dict[str, Document], habits: Habits | None = None) -> None:
        super().__init__(tree, habits or Habits(), VirtualClock(), user="root", password="calvin")
        self.answers: dict[str, Handler] = {}
        self._folder = folder

    @asynccontextmanager
    async def serve(self, limits: RedfishLimits | None = None, pin: str = "") -> AsyncIterator[RedfishBmc]:
        papers = Papers.write(self._folder, "bmc", self_signed("bmc", LOOPBACK))
        server = _Server(self, papers, papers)
        await server.start()
        dialler = RedfishDialler(self.clock, limits)
        try:
            yield dialler.dial(replace(server.endpoint, fingerprint=pin or papers.fingerprint))
        finally:
            await dialler.close()
            await server.stop()

    async def open(self, request: web.BaseRequest) -> web.StreamResponse:
        return await send(request, self.open_session(await request.json()))


class _Server(BmcServer):
    bmc: RedfishService

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        name = f"{request.method} {request.path_qs}"
        if name not in self.bmc.answers:
            return await super().answer(request)
        self.bmc.requests.append(name)
        if await request.text():
            self.bmc.sent.append((name, await request.json()))
        return await self.bmc.answers[name](request)

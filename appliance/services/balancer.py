"""The load balancer of a small site: what each cluster wants is kept, and haproxy is told all of it.

It is on disk before haproxy hears of it, so that a daemon that starts anew begins with what it balanced before."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from appliance.balancer.service import BalancerService
from appliance.balancer.state import BackendState
from appliance.errors import ConflictError, MachineryError, SiteError, UsageError
from appliance.files import write_whole
from appliance.model.balancer import Balancing, Listener
from appliance.model.codec import from_json, to_json
from appliance.ports import Clock
from appliance.supervision.keeper import Keeper

_START_SECONDS = 15.0
_PACE = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """By the cluster that wants it."""

    listeners: Mapping[str, tuple[Listener, ...]] = field(default_factory=dict)


class BalancerDesk:
    """At `address`. `file` keeps what is wanted."""

    def __init__(self, service: BalancerService, file: Path, address: IPv4Address, clock: Clock) -> None:
        self._service, self._file, self._address, self._clock = service, file, address, clock
        self._wanted = _Wanted()
        self._changing = asyncio.Lock()
        self._work: asyncio.Task[None] | None = None

    @property
    def address(self) -> IPv4Address:
        return self._address

    @property
    def keepers(self) -> tuple[Keeper, ...]:
        """Of what should run now."""
        return (self._service.keeper,) if self._work is not None else ()

    def start(self) -> None:
        """As it was left. Raises `MachineryError`."""
        try:
            self._wanted = from_json(_Wanted, self._file.read_bytes()) if self._file.exists() else _Wanted()
        except (OSError, UsageError) as error:
            action = f"remove {self._file}; clusters say again what they want"
            raise MachineryError(
                f"{self._file} cannot be read", evidence=str(error)[:200], next_action=action
            ) from error
        if self._listeners(self._wanted):
            self._service.lay_out(self._balancing(self._wanted))
            self._run()

    async def want(self, cluster: str, listeners: tuple[Listener, ...]) -> tuple[BackendState, ...]:
        """In the place of all that `cluster` wanted before; none to be rid of it. What haproxy then says of its
        backends.

        Raises `ConflictError` where another cluster has a port or a name, `MachineryError` where haproxy refuses: what
        it did before it goes on doing."""
        async with self._changing:
            others = {name: those for name, those in self._wanted.listeners.items() if name != cluster}
            return await self._become(_Wanted(listeners=others | ({cluster: listeners} if listeners else {})))

    async def forget(self, cluster: str) -> None:
        """All that it wanted, and what stands on it: `CLUSTER/NAME`. Raises `MachineryError` as `want` does."""
        async with self._changing:
            others = {
                name: those for name, those in self._wanted.listeners.items() if name.partition("/")[0] != cluster
            }
            await self._become(_Wanted(listeners=others))

    def wanted_by(self, cluster: str) -> tuple[Listener, ...]:
        return self._wanted.listeners.get(cluster, ())

    async def states(self) -> tuple[BackendState, ...]:
        return await asyncio.to_thread(self._service.admin.states) if self._work is not None else ()

    async def take_out(self, listener: str, backend: str) -> BackendState:
        """Nothing new goes there, until it is put in again. Raises `NotFoundError`."""
        return await asyncio.to_thread(self._service.admin.take_out, listener, backend)

    async def put_in(self, listener: str, backend: str) -> BackendState:
        return await asyncio.to_thread(self._service.admin.put_in, listener, backend)

    async def close(self) -> None:
        await self._end()

    async def _become(self, wanted: _Wanted) -> tuple[BackendState, ...]:
        balancing = self._balancing(wanted)
        changed = await asyncio.to_thread(self._service.lay_out, balancing)
        await asyncio.to_thread(write_whole, self._file, to_json(wanted))
        self._wanted = wanted
        if not balancing.listeners:
            await self._end()
            return ()
        if self._work is None:
            self._run()
        elif changed:
            return await self._service.reload()
        return await self._answered()

    def _run(self) -> None:
        self._work = asyncio.create_task(self._service.keeper.run(), name="load balancer")

    async def _end(self) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def _answered(self) -> tuple[BackendState, ...]:
        """Of one that has only just been started."""
        until = self._clock.monotonic() + _START_SECONDS
        while True:
            try:
                return await self.states()
            except MachineryError:
                if self._clock.monotonic() > until:
                    raise
            await self._clock.sleep(_PACE)

    def _balancing(self, wanted: _Wanted) -> Balancing:
        try:
            return Balancing(address=self._address, listeners=self._listeners(wanted))
        except SiteError as error:
            owners = ", ".join(sorted(wanted.listeners))
            raise ConflictError(str(error), evidence=f"clusters: {owners}", next_action=error.next_action) from error

    @staticmethod
    def _listeners(wanted: _Wanted) -> tuple[Listener, ...]:
        return tuple(listener for _, those in sorted(wanted.listeners.items()) for listener in those)

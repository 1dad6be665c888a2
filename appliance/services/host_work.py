"""What is done to applications on container hosts, whoever asks for it: put there, looked at, taken away."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol, TypeAlias

from appliance.apps import smoke
from appliance.apps.smoke import SmokeTest
from appliance.conductor.decision import ClusterSight
from appliance.errors import ClusterError, UnreachableError
from appliance.hosting import engine, verdict, words
from appliance.hosting.account import Account
from appliance.hosting.units import Unit, pulled, units
from appliance.hosting.words import Sight
from appliance.model.application import AppName
from appliance.model.cluster import SetRef
from appliance.model.hosted import HostedSpec, PrepareHost
from appliance.model.ids import MachineName
from appliance.nodes.job import Job
from appliance.services import app_work
from appliance.services.cluster_hold import Nodes, Said
from images.application.quadlet import ROLE

Page: TypeAlias = Callable[[IPv4Address, int, str], Awaitable[tuple[int, bytes]]]
"""Asks address, port and path: status and body. Raises `UnreachableError`."""


class Packages(app_work.Packages, Protocol):
    """Every method raises `InnervateError`."""

    @property
    def authority(self) -> str: ...

    async def contents(self, ref: SetRef, role: str) -> Mapping[str, bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A version of an application as one host is told it; `images` as the host pulls them."""

    app: HostedSpec
    units: tuple[Unit, ...]
    images: tuple[str, ...]
    smoke: SmokeTest | None

    @property
    def job(self) -> Job:
        return engine.deployed(self.app, self.units)

    @property
    def services(self) -> tuple[str, ...]:
        return tuple(unit.service for unit in self.units)

    def account(self, before: Account | None) -> Account:
        """Images of `before` are not forgotten: they may be wanted back."""
        package, images = self.app.package, {*self.images, *(before.images if before is not None else ())}
        return Account(
            name=self.app.name,
            revision=package.sha256,
            version=package.version,
            units=tuple(unit.file for unit in self.units),
            images=tuple(sorted(images)),
        )


class HostWork:
    """Whoever changes an application has its host's lock."""

    def __init__(self, packages: Packages, hosts: Nodes, page: Page) -> None:
        self._packages, self._hosts, self._page = packages, hosts, page
        self._locks = defaultdict[MachineName, asyncio.Lock](asyncio.Lock)

    def changing(self, machine: MachineName) -> asyncio.Lock:
        return self._locks[machine]

    def preparation(self, do: PrepareHost) -> Job:
        return engine.prepare(do, self._packages.described(do.set), self._packages.authority)

    async def require(self, ref: SetRef) -> None:
        """Each of the set's digests was asked for and answered."""
        await self._packages.ready(ref)

    async def wanted(self, app: HostedSpec) -> Wanted:
        described, texts = self._packages.described(app.package), await self._packages.contents(app.package, ROLE)
        if not texts:
            raise ClusterError(
                f"{app.package.name} says nothing to a container host", next_action="package it with units"
            )
        tested = await self._packages.content(app.package, app_work.SMOKE)
        return Wanted(
            app=app,
            units=units(described, texts, app.name, app.registry),
            images=tuple(pulled(described, app.registry).values()),
            smoke=smoke.read(tested) if tested is not None else None,
        )

    async def see(self, machine: MachineName, services: Sequence[str] = (), *, whole: bool = False) -> Sight:
        """As `engine.ask`."""
        said = Said()
        await self._hosts.pull(machine, engine.ask(services, whole=whole), said)
        return words.sight(said.text)

    async def put(self, machine: MachineName, wanted: Wanted, seen: Sight) -> str:
        """The account first: what is there of a version is known before any of it is. Nothing is touched where another
        application has one of its names."""
        if why := verdict.clash(wanted.app.name, wanted.units, seen):
            raise ClusterError(
                f"{wanted.app.name} cannot come to {machine}: {why}",
                next_action=f"rename the unit in the package; nothing of {wanted.app.package.version} was put there",
            )
        kept = wanted.account(seen.accounts.get(wanted.app.name))
        return await self._hosts.start(machine, engine.deploy(wanted.app, wanted.units, wanted.images, kept))

    async def job(self, machine: MachineName, job: Job) -> ClusterSight:
        return await self._hosts.job(machine, job)

    async def prepare(self, machine: MachineName, do: PrepareHost) -> str:
        return await self._hosts.start(machine, self.preparation(do))

    async def test(self, machine: MachineName, wanted: Wanted) -> str:
        """What its own test misses, "" for nothing."""
        if (test := wanted.smoke) is None:
            return ""
        try:
            status, answer = await self._page(self._hosts.address(machine), test.port, test.path)
        except UnreachableError as error:
            return str(error)
        return smoke.lacks(test, status, answer)

    async def prune(self, machine: MachineName, wanted: Wanted, seen: Sight) -> None:
        """Images of other versions, now that nobody goes back to them."""
        before = seen.accounts.get(wanted.app.name)
        if before is not None and (old := sorted(set(before.images) - set(wanted.images))):
            await self._hosts.feed(machine, *engine.forget(wanted.account(None), old))

    async def take_away(self, machine: MachineName, before: Account, *, keeps_data: bool) -> str:
        return await self._hosts.start(machine, engine.retire(before.name, before.images, keeps_data=keeps_data))

    async def going(self, machine: MachineName, name: AppName, *, keeps_data: bool) -> ClusterSight:
        return await self._hosts.job(machine, engine.retired(name, keeps_data=keeps_data))

"""The BMCs of the site: found when a person asks, entered by the vault, dialled with the log-in that works."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from urllib.parse import urlsplit

from appliance.bmc import discovery, rotation
from appliance.bmc.discovery import Found, Login, Suspect
from appliance.bmc.finder import Finder, Opened
from appliance.bmc.leaving import renew
from appliance.bmc.port import BmcDialler, FullBmc, Picturing
from appliance.bmc.vault import Entry, Record, Vault, factory_defaults
from appliance.errors import (
    BmcError,
    BmcLoginError,
    BmcUnsupportedError,
    ConflictError,
    InnervateError,
    MachineryError,
    NotFoundError,
)
from appliance.model.bmc import BmcEndpoint, Sensor
from appliance.model.bmc_views import (
    BmcSearchRequest,
    BmcsView,
    BmcView,
    SensorsView,
    SensorView,
    VaultEntryView,
    VaultScope,
    VaultView,
)
from appliance.model.ids import MachineName
from appliance.model.leaving_views import Fate, LeftBmcView
from appliance.ports import Clock, Rng
from appliance.services.bmc_views import Finding, addresses, found_at, is_same, view_of
from appliance.services.leaving import LeftBmc, unreached
from appliance.topology import Rack

_LOGGER = logging.getLogger(__name__)

_LOGINS_AT_ONCE = 16
_SUSPECTS = 4096
_SETTLE_SECONDS = 60.0
_FRESH_SECONDS = 10.0
"""How soon the log-ins that are missing are tried again because somebody needed one."""


class BmcDesk:
    """Implements `appliance.api.port.Bmcs`. Lives on one event loop; every method but `bmc_of` is for people.

    Of a BMC in the site program the certificate stated there counts. The vault's log-in comes before the one stated
    there, so that a rotation does not make the site program wrong; `forget` turns this round.
    """

    def __init__(self, rack: Rack, finder: Finder, vault: Vault, dialler: BmcDialler, clock: Clock, rng: Rng) -> None:
        self._rack, self._finder, self._vault, self._dialler = rack, finder, vault, dialler
        self._clock, self._rng = clock, rng
        self._findings: dict[str, Finding] = {}
        self._suspects: OrderedDict[IPv4Address, Suspect] = OrderedDict()
        self._turns: dict[str, asyncio.Lock] = {}
        self._measured: dict[MachineName, SensorsView] = {}
        self._pictures: dict[MachineName, tuple[float, bytes]] = {}
        self._reading: dict[MachineName, asyncio.Lock] = {}
        self._searching: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._settled = -_SETTLE_SECONDS
        self._trouble: InnervateError | None = None

    # for the conductor and the boot services -----------------------------------------------------------------

    def start(self) -> None:
        """Enters the BMCs whose log-in the site program leaves to the vault, and ends rotations that were cut off."""
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle(), name="BMC log-ins")

    async def close(self) -> None:
        tasks = [task for task in (self._searching, self._settling) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def bmc_of(self, machine: MachineName) -> FullBmc:
        return self._dialler.dial(self.endpoint_of(machine))

    def endpoint_of(self, machine: MachineName) -> BmcEndpoint:
        """Raises `BmcLoginError` where neither the vault nor the site program knows a log-in."""
        stated = self._rack.bmc_of(machine)
        if (login := self._known(stated)) is not None:
            return replace(stated, user=login.user, password=login.password)
        if stated.password.reveal():
            return stated
        if self._clock.monotonic() - self._settled > _SETTLE_SECONDS:
            self.start()
        action = f"innervate bmc vault add, then: innervate bmc find {stated.url} --login"
        raise BmcLoginError(f"no log-in of {machine}'s BMC {stated.url} is known yet", next_action=action)

    def secrets(self) -> Iterator[str]:
        """Passwords of the site's BMCs, stated or kept; those that every maker prints into its manual are none."""
        given = (one.password for one in self._vault.entries() if one.scope is not VaultScope.FACTORY)
        learnt = (one for record in self._vault.records() for one in (record.working, record.begun) if one is not None)
        stated = (server.bmc.password for server in self._rack.servers)
        yield from (one.reveal() for one in (*given, *(login.password for login in learnt), *stated))

    def forget_login(self, machine: MachineName) -> str:
        """The vault's log-in of the machine's BMC goes; says what a look afterwards shows."""
        stated = self._rack.bmc_of(machine)
        if (found := found_at(stated)) is not None:
            with suppress(NotFoundError):  # it never knew one
                self._vault.forget(found)
        left = self._known(stated)
        if left is not None:
            raise MachineryError(
                f"the log-in of {machine}'s BMC is still in the vault",
                evidence=stated.url,
                next_action=f"innervate bmc forget {stated.url}",
            )
        return "none in the vault" + ("; the site program states one" if stated.password.reveal() else "")

    def suspect(self, suspect: Suspect) -> None:
        """Something that looks like a BMC has asked us for an address."""
        self._suspects[suspect.address] = suspect
        self._suspects.move_to_end(suspect.address)
        if len(self._suspects) > _SUSPECTS:
            self._suspects.popitem(last=False)

    # for people ----------------------------------------------------------------------------------------------

    def search(self, request: BmcSearchRequest) -> BmcsView:
        if self._searching is not None and not self._searching.done():
            action = "wait for its end: innervate bmc find --last"
            raise ConflictError("a search for BMCs is under way", next_action=action)
        named = (*discovery.targets(request.targets), *discovery.stated(request.stated))
        ours = addresses(request.ours) or (self._rack.boot_network.address,)
        self._findings, self._trouble = {}, None
        looking = self._look(named, () if named else ours, login=request.login)
        self._searching = asyncio.create_task(looking, name="search for BMCs")
        return self.bmcs()

    def bmcs(self) -> BmcsView:
        trouble = self._trouble
        return BmcsView(
            searching=self._searching is not None and not self._searching.done(),
            bmcs=tuple(view_of(finding, self._rack) for finding in self._findings.values()),
            problem=str(trouble) if trouble else "",
            evidence=trouble.evidence if trouble else "",
            next_action=trouble.next_action if trouble else "",
        )

    async def sensors(self, machine: MachineName) -> SensorsView:
        """However many look at them, the BMC is asked once in a while."""
        self._rack.bmc_of(machine)
        async with self._reading.setdefault(machine, asyncio.Lock()):
            last = self._measured.get(machine)
            if last is None or not self._is_fresh(last.read):
                found = await self.bmc_of(machine).sensors()
                views = tuple(map(_sensor, found))
                last = SensorsView(machine=machine, read=self._clock.now(), sensors=views)
                self._measured[machine] = last
            return last

    async def screen(self, machine: MachineName) -> bytes:
        """However many look at it, the BMC is asked once in a while."""
        endpoint = self._rack.bmc_of(machine)
        async with self._reading.setdefault(machine, asyncio.Lock()):
            self._pictures = {name: kept for name, kept in self._pictures.items() if self._is_fresh(kept[0])}
            if machine not in self._pictures:
                picture = await self._picture(machine, endpoint)
                self._pictures[machine] = (self._clock.now(), picture)
            return self._pictures[machine][1]

    def _is_fresh(self, read: float) -> bool:
        return self._clock.now() - read < _FRESH_SECONDS

    async def _picture(self, machine: MachineName, stated: BmcEndpoint) -> bytes:
        action = f"look at it on the BMC's own page: https://{urlsplit(stated.url).hostname}/"
        bmc = self.bmc_of(machine)
        if not isinstance(bmc, Picturing):
            raise NotFoundError(f"the BMC of {machine} gives no picture of its screen", next_action=action)
        try:
            return await bmc.screen()
        except BmcUnsupportedError as error:
            raise NotFoundError(f"{machine}: {error}", evidence=error.evidence, next_action=action) from error

    async def rotate(self, url: str) -> BmcView:
        """Gives it a password of its own, proven; logs in first."""
        found = await self._found(url)
        async with self._turn(found):
            opened = await self._enter(found)
            endpoint = await rotation.rotate(found, self._vault, self._dialler, self._rng)
            opened = replace(opened, endpoint=endpoint, must_change=False)
            return self._noted(Finding(found=found, outcome=opened))

    async def forgive(self, url: str) -> BmcView:
        """It may be tried again, with everything, and its certificate, as found last, is right."""
        found = await self._found(url)
        self._vault.forgive(found)
        self.start()
        return self._noted(Finding(found=found))

    async def forget(self, url: str) -> BmcView:
        """What was learnt of it, its password too: from now on it is entered as if never seen before."""
        found = await self._found(url)
        self._vault.forget(found)
        return self._noted(Finding(found=found))

    async def hand_over(self, stranger: BmcDialler) -> tuple[LeftBmc, ...]:
        """Every BMC that was ever entered: one with a password of the appliance's own gets another, for its owner.
        `stranger` tries whether the old one is dead."""
        gate = asyncio.Semaphore(_LOGINS_AT_ONCE)

        async def one(record: Record) -> LeftBmc:
            async with gate:
                return await self._handed_over(record, stranger)

        entered = [record for record in self._vault.records() if record.working or record.begun]
        return tuple(await asyncio.gather(*map(one, entered)))

    async def _handed_over(self, record: Record, stranger: BmcDialler) -> LeftBmc:
        url = record.names["url"]
        last = record.working or record.begun
        machine = next((server.name for server in self._rack.servers if is_same(server.bmc.url, url)), "")
        view = LeftBmcView(url=url, machine=machine, user=last.user if last else "", fate=Fate.YOURS)
        try:
            (found,) = await self._finder.probe([discovery.at(url)]) or (None,)
            if found is None:
                return unreached(view, last, f"no BMC answers at {url}", "")
            async with self._turn(found):
                opened = await self._enter(found)
                login = Login(user=opened.endpoint.user, password=opened.endpoint.password)
                if self._was_given(login):
                    return LeftBmc(view=replace(view, user=login.user))
                last, refused = await renew(found, self._vault, self._dialler, stranger, self._rng)
        except InnervateError as error:
            return unreached(view, self._latest(record), str(error), error.evidence)
        fate = Fate.HANDED_OVER if refused else Fate.NOT_PROVEN
        return LeftBmc(view=replace(view, user=last.user, fate=fate), login=last)

    def _latest(self, record: Record) -> Login | None:
        """By now: a change that was cut off may have come through."""
        same = [one for one in self._vault.records() if one.names.get("url") == record.names["url"]]
        return next((one.begun or one.working for one in same), record.working)

    def _was_given(self, login: Login) -> bool:
        stated = ((one.user, one.password.reveal()) for one in self._endpoints())
        return self._vault.was_given(login) or (login.user, login.password.reveal()) in stated

    def vault(self) -> VaultView:
        entries = (
            VaultEntryView(scope=entry.scope, value=entry.value, user=entry.user, priority=entry.priority)
            for entry in self._vault.entries()
        )
        return VaultView(entries=tuple(entries))

    def add_entry(self, entry: Entry) -> VaultView:
        self._vault.add(entry)
        self.start()
        return self.vault()

    def add_defaults(self) -> VaultView:
        self._vault.add(*factory_defaults())
        self.start()
        return self.vault()

    def remove_entry(self, scope: VaultScope, value: str, user: str) -> VaultView:
        self._vault.remove(scope, value, user)
        return self.vault()

    # ---------------------------------------------------------------------------------------------------------

    async def _look(self, named: Sequence[Suspect], ours: Sequence[IPv4Address], *, login: bool) -> None:
        try:
            suspects = list(named)
            if not named:
                suspects += self._suspects.values()
                for answers in await asyncio.gather(*(self._finder.search(address) for address in ours)):
                    suspects += answers
            found = await self._finder.probe(suspects)
            self._findings = {bmc.url: Finding(found=bmc) for bmc in found}
            if login:
                for finding in await self._entered(found):
                    self._findings[finding.found.url] = finding
        except InnervateError as error:
            self._trouble = error

    async def _entered(self, found: Sequence[Found]) -> tuple[Finding, ...]:
        gate = asyncio.Semaphore(_LOGINS_AT_ONCE)

        async def one(bmc: Found) -> Finding:
            async with gate, self._turn(bmc):
                try:
                    return Finding(found=bmc, outcome=await self._enter(bmc))
                except InnervateError as error:
                    return Finding(found=bmc, outcome=error)

        return tuple(await asyncio.gather(*map(one, found)))

    async def _enter(self, found: Found) -> Opened:
        stated = self._stated(found.url)
        if stated is None:
            return await self._finder.login(found, self._vault, self._dialler)
        if stated.fingerprint.lower() != found.fingerprint:
            seen = f"SHA-256 {found.fingerprint}, stated {stated.fingerprint}"
            action = "find out why, then correct the site program: nothing was sent to it"
            raise BmcError(f"{found.url} shows another certificate than stated", evidence=seen, next_action=action)
        login = Login(user=stated.user, password=stated.password) if stated.password.reveal() else None
        return await self._finder.login(found, self._vault, self._dialler, login)

    async def _settle(self) -> None:
        self._settled = self._clock.monotonic()
        missing = [discovery.at(stated.url) for stated in self._endpoints() if self._is_open(stated)]
        for finding in await self._entered(await self._finder.probe(missing)):
            if isinstance(error := finding.outcome, InnervateError):
                _LOGGER.warning("bmc=%s: %s; %s; %s", finding.found.url, error, error.evidence, error.next_action)

    def _is_open(self, stated: BmcEndpoint) -> bool:
        """Whether its log-in is the vault's to find out."""
        found = found_at(stated)
        try:
            if found is None:
                return False
            return self._vault.begun(found) is not None or not (
                stated.password.reveal() or self._vault.known(found) is not None
            )
        except BmcError as error:
            _LOGGER.warning("bmc=%s %s; %s; %s", stated.url, error, error.evidence, error.next_action)
            return False

    def _known(self, stated: BmcEndpoint) -> Login | None:
        """Where the site program pins another certificate than the vault, its own password is for that one."""
        found = found_at(stated)
        try:
            return None if found is None else self._vault.known(found)
        except BmcError:
            if stated.password.reveal():
                return None
            raise

    async def _found(self, url: str) -> Found:
        """As the last search found it, so that what a person was shown is what counts."""
        suspect = discovery.at(url)
        if (known := self._findings.get(url.rstrip("/"))) is not None:
            return known.found
        for found in await self._finder.probe([suspect]):
            return found
        action = "look at its address, its VLAN, and a firewall for TCP 443 and UDP 623"
        raise NotFoundError(f"no BMC answers at {url}", next_action=action)

    def _turn(self, found: Found) -> asyncio.Lock:
        return self._turns.setdefault(found.url, asyncio.Lock())

    def _noted(self, finding: Finding) -> BmcView:
        self._findings[finding.found.url] = finding
        return view_of(finding, self._rack)

    def _endpoints(self) -> tuple[BmcEndpoint, ...]:
        return tuple(server.bmc for server in self._rack.servers)

    def _stated(self, url: str) -> BmcEndpoint | None:
        return next((stated for stated in self._endpoints() if is_same(stated.url, url)), None)


def _sensor(one: Sensor) -> SensorView:
    return SensorView(name=one.name, kind=one.kind, reading=one.reading, unit=one.unit, health=one.health)

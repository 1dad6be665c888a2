"""The Redfish driver (DSP0266, DSP2046): what is asked of a BMC, in the order in which it can answer.

Parents are read before leaves, since some BMCs know a leaf only then. Every change is read back. What a BMC began as
a task is waited for, without keeping others from asking. Optional resources are asked for only where they are linked.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from redfish.aio import AsyncRestResponse

from appliance.bmc import redfish_codec as codec
from appliance.bmc.codec import boot, log, media, power, screen, sensors, update
from appliance.bmc.codec.text import clean
from appliance.bmc.connection import unverified_tls
from appliance.bmc.port import FullBmc, Progress
from appliance.bmc.quirks import Product, Quirks, depends_on_firmware, quirks_of
from appliance.bmc.redfish_errors import PasswordDueError, RefusalError, ResetDueError
from appliance.bmc.redfish_link import RedfishLimits, RedfishLink
from appliance.errors import BmcError, BmcTaskError, BmcUnsupportedError
from appliance.model.bmc import (
    BmcEndpoint,
    BootOverride,
    EventLogEntry,
    FirmwareItem,
    Indicator,
    MediaSlot,
    PowerCommand,
    PowerState,
    Sensor,
    SystemIdentity,
)
from appliance.model.secret import Secret
from appliance.ports import Clock
from pxe.client import Mac

__all__ = ["RedfishBmc", "RedfishDialler", "RedfishLimits"]

_log = logging.getLogger(__name__)
_GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE)
_BUSY = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
_STATE_REFUSALS = (HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT)
_JOBS = "look at the BMC's own list of jobs"
# A task that was just created may not be there yet.
_NEW_TASK_LOOKS = 5
_NEW_TASK_SECONDS = 1.0


def _silent(_percent: int | None) -> None:
    pass


class RedfishBmc(FullBmc):
    """Logs in at the first use, and again after `close`."""

    def __init__(self, endpoint: BmcEndpoint, tls: ssl.SSLContext, clock: Clock, limits: RedfishLimits) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._limits = limits
        self._link = RedfishLink(endpoint, tls, clock, limits)
        self._path = ""
        self._quirks = Quirks()

    async def close(self) -> None:
        await self._link.close()

    # --- power ------------------------------------------------------------------------------------------------

    async def identify(self) -> SystemIdentity:
        async with self._operation() as link:
            system = await self._system()
            return codec.system_identity(self._path, system, await _macs(link, system), self._quirks)

    async def power_state(self) -> PowerState:
        async with self._operation():
            return codec.power_state(await self._system())

    async def command(self, command: PowerCommand) -> None:
        async with self._operation() as link:
            system = await self._system()
            reset = _offered(system, "ComputerSystem.Reset", "the system cannot be reset through this BMC")
            allowable = reset.allowable("ResetType") or codec.info_allowable(await _info(link, reset), "ResetType")
            body: codec.JsonObject = {"ResetType": power.reset_type(command, allowable, codec.power_state(system))}
            try:
                await link.post(reset.target, body)
            except RefusalError as error:
                await self._excuse(command, error)

    async def _excuse(self, command: PowerCommand, error: RefusalError) -> None:
        """HPE's iLO refuses what is already so, and what follows the last command too soon: the state tells which."""
        if error.status not in _STATE_REFUSALS or isinstance(error, ResetDueError):
            raise error
        state = codec.power_state(await self._system())
        if power.reached(command, state):
            return
        action = "wait a minute for the last command's effect, then try again"
        said = f"power is {state.value}; {error.evidence}"
        raise BmcError(f"the BMC refuses {command.value} now", evidence=said, next_action=action) from error

    # --- boot order -------------------------------------------------------------------------------------------

    async def boot(self) -> BootOverride:
        async with self._operation():
            return await self._override()

    async def set_boot(self, override: BootOverride) -> BootOverride:
        async with self._operation() as link:
            path, _ = await self._pending(await self._system())
            answer = await link.patch(path or self._path, lambda present: boot.patch(override, present, self._quirks))
        await self._ended(answer)
        return await self.boot()

    async def _override(self) -> BootOverride:
        """What is pending, else what is set."""
        system = await self._system()
        _, pending = await self._pending(system)
        return boot.override(pending if boot.says_override(pending) else system)

    async def _pending(self, system: codec.JsonObject) -> tuple[str, codec.JsonObject]:
        """The settings resource; nothing where there is none or it is for other attributes than the boot order's."""
        path = boot.settings_path(self._path, system, self._quirks)
        if not path:
            return "", {}
        try:
            settings = await self._link.get(path)
        except RefusalError as error:
            if error.status not in _GONE:
                raise
            return "", {}
        return (path, settings) if boot.has_override(settings) else ("", {})

    # --- virtual media ----------------------------------------------------------------------------------------

    async def media(self) -> tuple[MediaSlot, ...]:
        async with self._operation() as link:
            return tuple(media.slot(drive) for drive in await link.collection(await self._drives()))

    async def insert(self, slot: str, image: str) -> MediaSlot:
        async with self._operation() as link:
            drive = await self._drive(slot)
            path = codec.path_of(drive)
            if (way := media.way(drive, media.INSERT, self._quirks)) is None:
                answer = await link.patch(path, lambda _: media.insertion_patch(image))
            else:
                body = media.insertion(image, way, await _info(link, way), self._quirks)
                answer = await link.post(way.target, body)
        return await self._changed_drive(answer, path)

    async def eject(self, slot: str) -> MediaSlot:
        async with self._operation() as link:
            drive = await self._drive(slot)
            path = codec.path_of(drive)
            if (way := media.way(drive, media.EJECT, self._quirks)) is None:
                answer = await link.patch(path, lambda _: media.ejection_patch())
            else:
                answer = await link.post(way.target, {})
        return await self._changed_drive(answer, path)

    async def _changed_drive(self, answer: AsyncRestResponse, path: str) -> MediaSlot:
        await self._ended(answer)
        async with self._operation() as link:
            await link.get(await self._drives())
            return media.slot(await link.get(path))

    async def _drives(self) -> str:
        """The manager's before the system's: with some iDRACs the system's accept an image and do nothing."""
        system = await self._system()
        manager = await self._manager(system)
        path = codec.link(manager, "VirtualMedia") or codec.link(system, "VirtualMedia")
        if not path:
            raise codec.unsupported("the BMC has no virtual media", manager)
        return path

    async def _drive(self, slot: str) -> codec.JsonObject:
        drives = await self._link.collection(await self._drives())
        for drive in drives:
            if media.slot(drive).id == slot and codec.path_of(drive):
                return drive
        seen = clean(", ".join(media.slot(drive).id for drive in drives), codec.EVIDENCE)
        raise BmcUnsupportedError(f"the BMC has no drive {slot!r}", evidence=f"it has {seen}", next_action="name one")

    # --- chassis ----------------------------------------------------------------------------------------------

    async def indicator(self) -> Indicator:
        async with self._operation():
            return sensors.indicator((await self._indicating())[1])

    async def set_indicator(self, wanted: Indicator) -> Indicator:
        async with self._operation() as link:
            path, _ = await self._indicating()
            answer = await link.patch(path, lambda present: sensors.indicator_patch(wanted, present))
        await self._ended(answer)
        return await self.indicator()

    async def _indicating(self) -> tuple[str, codec.JsonObject]:
        system = await self._system()
        if sensors.has_indicator(system):
            return self._path, system
        path, chassis = await self._chassis(system)
        if sensors.has_indicator(chassis):
            return path, chassis
        raise codec.unsupported("the BMC has no identify LED", chassis)

    async def sensors(self) -> tuple[Sensor, ...]:
        async with self._operation() as link:
            _, chassis = await self._chassis(await self._system())
            if path := codec.link(chassis, "Sensors"):
                return tuple(map(sensors.sensor, await link.collection(path)))
            thermal, supply = codec.link(chassis, "Thermal"), codec.link(chassis, "Power")
            if not thermal and not supply:
                raise codec.unsupported("the BMC has no sensors", chassis)
            warm = tuple(sensors.of_thermal(await link.get(thermal))) if thermal else ()
            return warm + (tuple(sensors.of_power(await link.get(supply))) if supply else ())

    async def power_draw(self) -> float:
        async with self._operation() as link:
            _, chassis = await self._chassis(await self._system())
            watts = None
            if path := codec.link(chassis, "EnvironmentMetrics"):
                watts = sensors.watts_of_metrics(await link.get(path))
            if watts is None and (path := codec.link(chassis, "Power")):
                watts = sensors.watts_of_power(await link.get(path))
            if watts is None:
                raise codec.unsupported("the BMC does not measure power", chassis)
            return watts

    async def screen(self) -> bytes:
        async with self._operation() as link:
            manager = await self._manager(await self._system())
            path = screen.holder(manager)
            holder = await link.get(path) if path else manager
            if (way := screen.way(holder)) is None:
                raise codec.unsupported("the BMC gives no picture of the screen", holder)
            return screen.picture((await link.ask(way.target, way.body)).read, way.key)

    # --- event log --------------------------------------------------------------------------------------------

    async def event_log(self) -> tuple[EventLogEntry, ...]:
        async with self._operation() as link:
            service = await self._log_service()
            return tuple(map(log.entry, await link.collection(codec.link(service, "Entries"))))

    async def clear_event_log(self) -> None:
        async with self._operation() as link:
            clear = _offered(await self._log_service(), log.CLEAR, "the BMC cannot clear its event log")
            answer = await link.post(clear.target, {})
        await self._ended(answer)

    async def _log_service(self) -> codec.JsonObject:
        system = await self._system()
        manager = await self._manager(system)
        for holder in (system, manager):
            if path := codec.link(holder, "LogServices"):
                service = log.event_log(await self._link.collection(path))
                if service is not None:
                    return service
        raise codec.unsupported("the BMC has no event log", system)

    # --- firmware ---------------------------------------------------------------------------------------------

    async def firmware(self) -> tuple[FirmwareItem, ...]:
        async with self._operation() as link:
            return tuple(map(update.item, await link.collection(await self._inventory())))

    async def update(self, image: str, progress: Progress, targets: tuple[str, ...] = ()) -> None:
        async with self._operation() as link:
            service = await self._update_service()
            simple = _offered(service, update.SIMPLE_UPDATE, "the BMC fetches no firmware by itself")
            paths = [await self._item_path(name) for name in targets]
            body = update.request(image, paths, simple, await _info(link, simple))
            answer = await link.post(simple.target, body)
        await self._ended(answer, progress)

    async def _item_path(self, name: str) -> str:
        items = await self._link.collection(await self._inventory())
        for item in items:
            if update.item(item).id == name and codec.path_of(item):
                return codec.path_of(item)
        seen = clean("it lists " + ", ".join(update.item(item).id for item in items), codec.EVIDENCE)
        complaint = f"the BMC has no firmware {clean(name)!r}"
        raise BmcUnsupportedError(complaint, evidence=seen, next_action="name one that it lists")

    async def _inventory(self) -> str:
        service = await self._update_service()
        if not (path := codec.link(service, "FirmwareInventory")):
            raise codec.unsupported("the BMC lists no firmware", service)
        return path

    async def _update_service(self) -> codec.JsonObject:
        await self._system()
        return await self._service("UpdateService")

    async def _service(self, name: str) -> codec.JsonObject:
        if not (path := codec.link(self._link.root, name)):
            raise codec.unsupported(f"the BMC has no {name}", self._link.root)
        return await self._link.get(path)

    # --- the BMC itself ---------------------------------------------------------------------------------------

    async def change_password(self, password: Secret) -> None:
        async with self._link.unlocking(password) as path:
            path = path or await self._own_account()
            await self._link.patch(path, lambda _: {"Password": password.reveal()})
            await self._link.use(password)
            await self._link.get(path)

    async def time(self) -> float | None:
        async with self._operation():
            return codec.time(await self._manager(await self._system()))

    async def _own_account(self) -> str:
        try:
            service = await self._service("AccountService")
            accounts = await self._link.collection(codec.link(service, "Accounts"))
            for account in accounts:
                if account.get("UserName") == self._endpoint.user and codec.path_of(account):
                    return codec.path_of(account)
        except PasswordDueError as error:
            if error.path:
                return error.path
            raise
        seen = f"none of its {len(accounts)} accounts"
        complaint = f"the BMC lists no user {self._endpoint.user!r}"
        raise BmcError(complaint, evidence=seen, next_action="change it on the BMC")

    async def reset_bmc(self) -> None:
        async with self._operation() as link:
            manager = await self._manager(await self._system())
            reset = _offered(manager, "Manager.Reset", "the BMC cannot be reset through Redfish")
            allowable = reset.allowable("ResetType") or codec.info_allowable(await _info(link, reset), "ResetType")
            await link.post(reset.target, {"ResetType": power.manager_reset_type(allowable)})
            link.forget()

    # --- how the tree is walked -------------------------------------------------------------------------------

    @asynccontextmanager
    async def _operation(self) -> AsyncIterator[RedfishLink]:
        try:
            async with self._link.operation():
                yield self._link
        except BmcError:
            # The tree may have changed under us (firmware update): look for the system again next time.
            self._path = ""
            raise

    async def _system(self) -> codec.JsonObject:
        """Once more from the top where the system is gone: after a restart some BMCs know it only then."""
        if self._path:
            try:
                return await self._link.get(self._path)
            except RefusalError as error:
                if error.status not in _GONE:
                    raise
        self._path = await self._only_system()
        system = await self._link.get(self._path)
        self._quirks = await self._known(system)
        self._link.change_gap = self._quirks.gap
        return system

    async def _only_system(self) -> str:
        if not (systems := codec.link(self._link.root, "Systems")):
            seen = codec.keys_of(self._link.root)
            raise BmcError("the BMC offers no systems", evidence=seen, next_action="give the BMC of a server")
        collection = await self._link.get(systems)
        further = codec.next_page(collection)
        return codec.only_system(codec.members(collection) + ((further,) if further else ()))

    async def _known(self, system: codec.JsonObject) -> Quirks:
        product = codec.product_of(system)
        if depends_on_firmware(product):
            version = clean((await self._manager(system)).get("FirmwareVersion"))
            product = Product(manufacturer=product.manufacturer, model=product.model, firmware=version)
        return quirks_of(product)

    async def _manager(self, system: codec.JsonObject) -> codec.JsonObject:
        """The one that the system names, else the first; empty where there is none."""
        path = codec.first_link(system, "ManagedBy")
        return await self._linked(path, "Managers") if path else await self._first_of("Managers")

    async def _chassis(self, system: codec.JsonObject) -> tuple[str, codec.JsonObject]:
        path = codec.first_link(system, "Chassis")
        chassis = await self._linked(path, "Chassis") if path else await self._first_of("Chassis")
        return path or codec.path_of(chassis), chassis

    async def _linked(self, path: str, collection: str) -> codec.JsonObject:
        """A link across the tree jumps over the parent, which some BMCs want to be asked for first."""
        try:
            return await self._link.get(path)
        except RefusalError as error:
            if error.status not in _GONE or not (parent := codec.link(self._link.root, collection)):
                raise
        await self._link.get(parent)
        return await self._link.get(path)

    async def _first_of(self, collection: str) -> codec.JsonObject:
        if not (path := codec.link(self._link.root, collection)):
            return {}
        paths = codec.members(await self._link.get(path))
        return await self._link.get(paths[0]) if paths else {}

    # --- tasks ------------------------------------------------------------------------------------------------

    async def _ended(self, answer: AsyncRestResponse, progress: Progress = _silent) -> None:
        """Returns when the task that `answer` began, if it did, has ended well. Raises `BmcTaskError`."""
        if not (monitor := _monitor(answer)):
            return
        deadline = self._clock.monotonic() + self._limits.task_seconds
        missing = 0
        while self._clock.monotonic() <= deadline:
            await self._clock.sleep(self._pause(answer))
            async with self._operation() as link:
                answer = await link.fetch(monitor)
            if answer.status in _GONE:
                missing += 1
                if missing > _NEW_TASK_LOOKS:
                    raise BmcTaskError("the BMC lost its task", evidence=clean(monitor), next_action=_JOBS)
            elif answer.status not in _BUSY:
                missing = _NEW_TASK_LOOKS
                if _has_ended(answer, progress):
                    return
        raise BmcTaskError("the BMC does not finish its task in time", evidence=clean(monitor), next_action=_JOBS)

    def _pause(self, answer: AsyncRestResponse) -> float:
        if answer.status in _GONE:
            return _NEW_TASK_SECONDS
        wanted = codec.retry_after(answer.getheader("Retry-After"))
        return min(max(wanted or self._limits.task_poll_seconds, _NEW_TASK_SECONDS), self._limits.task_pause_seconds)


def _monitor(answer: AsyncRestResponse) -> str:
    """The path of the task monitor, or of the task where only that is named; "" where nothing was begun."""
    if answer.status != HTTPStatus.ACCEPTED:
        return ""
    if location := answer.getheader("Location"):
        return str(location)
    try:
        return codec.path_of(codec.parse_document(answer.read))
    except BmcError:
        return ""


def _has_ended(answer: AsyncRestResponse, progress: Progress) -> bool:
    view = update.task(answer.status, answer.read)
    progress(view.percent)
    if view.end is update.TaskEnd.BADLY:
        raise BmcTaskError("the BMC's task failed", evidence=view.said, next_action="see what the BMC says")
    return view.end is update.TaskEnd.WELL


def _offered(document: codec.JsonObject, name: str, complaint: str) -> codec.Action:
    if (found := codec.action(document, name)) is None:
        raise codec.unsupported(complaint, document)
    return found


async def _info(link: RedfishLink, action: codec.Action) -> codec.JsonObject:
    return await link.get(action.info) if action.info else {}


async def _macs(link: RedfishLink, system: codec.JsonObject) -> tuple[Mac, ...]:
    path = codec.link(system, "EthernetInterfaces")
    if not path:
        return ()
    macs = map(codec.mac_of, await link.collection(path))
    return tuple(dict.fromkeys(mac for mac in macs if mac is not None))


class RedfishDialler:
    """Implements `appliance.bmc.port.BmcDialler`: one `RedfishBmc` per endpoint, one TLS context for all."""

    def __init__(self, clock: Clock, limits: RedfishLimits | None = None) -> None:
        self._clock = clock
        self._limits = limits or RedfishLimits()
        self._tls = unverified_tls()
        self._bmcs: dict[BmcEndpoint, RedfishBmc] = {}

    def dial(self, endpoint: BmcEndpoint) -> RedfishBmc:
        """Connects at the first operation. Raises `BmcError` for an endpoint that makes no sense."""
        if endpoint not in self._bmcs:
            self._bmcs[endpoint] = RedfishBmc(endpoint, self._tls, self._clock, self._limits)
        return self._bmcs[endpoint]

    async def close(self) -> None:
        """Deletes every session; a BMC that does not answer is logged and left to its own time-out."""
        bmcs, self._bmcs = self._bmcs, {}
        results = await asyncio.gather(*(bmc.close() for bmc in bmcs.values()), return_exceptions=True)
        for endpoint, result in zip(bmcs, results, strict=True):
            if isinstance(result, BaseException):
                _log.warning("session not deleted bmc=%s cause=%r", endpoint.url, result)

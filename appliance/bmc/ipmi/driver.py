"""The IPMI 2.0 driver: our own RMCP+ sessions, all BMCs on one socket, none waiting for another."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from appliance.bmc.codec.text import clean
from appliance.bmc.ipmi import chassis, device, packet, sel, sensors
from appliance.bmc.ipmi.link import IpmiLimits, Link, RefusedRequestError, SilenceError, open_link
from appliance.bmc.ipmi.packet import Request
from appliance.bmc.ipmi.rakp import MAX_PASSWORD_BYTES, SUITES, Credentials, Suite
from appliance.bmc.ipmi.sensors import SensorRecord
from appliance.bmc.ipmi.wire import Wire
from appliance.bmc.port import BootControl, Progress
from appliance.errors import BmcError, BmcUnsupportedError
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
from appliance.ports import Clock, Rng

_log = logging.getLogger(__name__)
T = TypeVar("T")

_RESERVATION_LOST, _NOT_PRESENT = 0xC5, 0xCB
_OUT_OF_RANGE, _INVALID_FIELD, _NOT_NOW = 0xC9, 0xCC, 0xD5
_NO_SUCH_PARAMETER = 0x80  # table 28-12
# Refusals that mean "there is none", by what is asked for; a command that a BMC does not know is always that.
_NO_FRU = (_NOT_PRESENT, _OUT_OF_RANGE, _INVALID_FIELD)
_NO_PARAMETER = (_NO_SUCH_PARAMETER, _OUT_OF_RANGE, _INVALID_FIELD)
_NO_READING = (_NOT_PRESENT, _NOT_NOW)
_NO_USER = (_NOT_PRESENT, _OUT_OF_RANGE, _INVALID_FIELD)
_ERASE_SECONDS = 30
_NO_MEDIA = "IPMI has no virtual media"
_NO_UPDATE = "IPMI has no firmware update"


@dataclass(frozen=True, slots=True, kw_only=True)
class IpmiAddress:
    host: str
    port: int


def ipmi_address(endpoint: BmcEndpoint) -> IpmiAddress:
    """Of ipmi://address[:port]. Raises `BmcError`."""
    try:
        parts = urlsplit(endpoint.url)
        host, port = parts.hostname or "", parts.port or packet.PORT
    except ValueError:
        parts, host, port = urlsplit(""), "", 0
    if parts.scheme != "ipmi" or not host or parts.path not in ("", "/"):
        seen = "it is not ipmi://address[:port]"
        raise BmcError(f"cannot use {clean(endpoint.url)}", evidence=seen, next_action="correct the BMC's endpoint")
    return IpmiAddress(host=host, port=port)


def credentials_of(endpoint: BmcEndpoint, password: Secret) -> Credentials:
    return Credentials(user=endpoint.user.encode(), password=password.reveal().encode())


class IpmiBmc(BootControl):
    """Implements `appliance.bmc.port.FullBmc`. Logs in at the first use, and again after `close` or a long rest."""

    def __init__(self, endpoint: BmcEndpoint, wire: Wire, clock: Clock, rng: Rng, limits: IpmiLimits) -> None:
        self._endpoint, self._wire, self._clock, self._rng, self._limits = endpoint, wire, clock, rng, limits
        self._where = ipmi_address(endpoint)
        self._password = endpoint.password
        self._one_at_a_time = asyncio.Lock()
        self._link: Link | None = None
        self._suites: tuple[Suite, ...] = SUITES
        self._last_heard = 0.0
        self._records: tuple[SensorRecord, ...] | None = None

    async def identify(self) -> SystemIdentity:
        """`macs` stays empty: no standard command tells those of the machine, and LAN parameter 5 is the BMC's own."""
        async with self._operation() as link:
            guid = await _or(link.ask(device.GUID), b"")
            fru = device.fru_of(await self._read_fru(link))
            return SystemIdentity(
                path="",
                uuid=device.uuid_of(guid),
                serial=fru.serial,
                manufacturer=fru.manufacturer,
                product=fru.product,
                macs=(),
                power=chassis.power_state(await link.ask(chassis.STATUS)),
            )

    async def _read_fru(self, link: Link) -> bytes:
        """Empty where the BMC keeps none."""
        area = b""
        if not (answer := await _or(link.ask(device.FRU_AREA), b"", _NO_FRU)):
            return area
        size = device.fru_size(answer)
        while len(area) < size:
            request = device.read_fru(len(area), min(device.FRU_CHUNK, size - len(area)))
            if not (part := device.fru_chunk(await _or(link.ask(request), b"", _NO_FRU))):
                break
            area += part
        return area

    async def power_state(self) -> PowerState:
        async with self._operation() as link:
            return chassis.power_state(await link.ask(chassis.STATUS))

    async def command(self, command: PowerCommand) -> None:
        request = chassis.control(command)
        async with self._operation() as link:
            await link.ask(request, repeat=command in chassis.REPEATABLE)

    async def set_boot(self, override: BootOverride) -> BootOverride:
        request = chassis.set_boot(override)
        async with self._operation() as link:
            await _or(link.ask(chassis.KEEP_BOOT), b"", _NO_PARAMETER)
            await link.ask(request)
            return chassis.boot_just_set(await link.ask(chassis.GET_BOOT), override)

    async def boot(self) -> BootOverride:
        async with self._operation() as link:
            return chassis.boot(await link.ask(chassis.GET_BOOT))

    async def media(self) -> tuple[MediaSlot, ...]:
        raise BmcUnsupportedError(_NO_MEDIA, next_action="use Redfish")

    async def insert(self, slot: str, image: str) -> MediaSlot:
        raise BmcUnsupportedError(_NO_MEDIA, evidence=f"{slot} {image}", next_action="use Redfish")

    async def eject(self, slot: str) -> MediaSlot:
        raise BmcUnsupportedError(_NO_MEDIA, evidence=slot, next_action="use Redfish")

    async def indicator(self) -> Indicator:
        async with self._operation() as link:
            return chassis.indicator(await link.ask(chassis.STATUS))

    async def set_indicator(self, wanted: Indicator) -> Indicator:
        request = chassis.identify(wanted)
        async with self._operation() as link:
            await link.ask(request)
            return chassis.indicator(await link.ask(chassis.STATUS))

    async def sensors(self) -> tuple[Sensor, ...]:
        async with self._operation() as link:
            if self._records is None:
                self._records = await _reserved(link, sensors.RESERVE, _read_records)
            found = []
            for record in self._records:
                answer = await _or(link.ask(sensors.reading_of(record)), b"", _NO_READING)
                found.append(sensors.sensor(record, answer))
            return tuple(found)

    async def power_draw(self) -> float:
        async with self._operation() as link:
            return chassis.watts(await link.ask(chassis.GET_WATTS))

    async def event_log(self) -> tuple[EventLogEntry, ...]:
        async with self._operation() as link:
            if not sel.count(await link.ask(sel.INFO)):
                return ()
            entries, record = [], 0
            for _ in range(sel.MAX_ENTRIES):
                following, entry = sel.entry(await link.ask(sel.read_entry(record)))
                entries.append(entry)
                if following in (sel.LAST, record):
                    break
                record = following
            return tuple(entries)

    async def clear_event_log(self) -> None:
        async with self._operation() as link:
            await _reserved(link, sel.RESERVE, self._erase)

    async def _erase(self, link: Link, reservation: bytes) -> None:
        answer = await link.ask(sel.erase(reservation, begin=True))
        for _ in range(_ERASE_SECONDS):
            if sel.erased(answer):
                return
            await self._clock.sleep(1.0)
            answer = await link.ask(sel.erase(reservation, begin=False))
        raise BmcError("the BMC does not finish clearing its log", next_action="reset the BMC")

    async def firmware(self) -> tuple[FirmwareItem, ...]:
        async with self._operation() as link:
            return (device.firmware(await link.ask(device.DEVICE_ID)),)

    async def update(self, image: str, progress: Progress, targets: tuple[str, ...] = ()) -> None:
        raise BmcUnsupportedError(_NO_UPDATE, evidence=image, next_action="use Redfish or the vendor's tool")

    async def change_password(self, password: Secret) -> None:
        size = len(password.reveal().encode())
        if not 0 < size <= MAX_PASSWORD_BYTES:
            action = f"give 1 to {MAX_PASSWORD_BYTES} bytes"
            raise BmcError("IPMI cannot take this password", evidence=f"it has {size} bytes", next_action=action)
        async with self._operation() as link:
            user = await self._own_number(link)
            await link.ask(device.set_password(user, password.reveal().encode()))
            self._password = password
            await self._hang_up()
            await self._dial()

    async def _own_number(self, link: Link) -> int:
        name = self._endpoint.user.encode()
        for user in range(1, device.user_count(await link.ask(device.user_access(1))) + 1):
            if (await _or(link.ask(device.user_name(user)), b"", _NO_USER)).rstrip(b"\0") == name:
                return user
        raise BmcError(f"the BMC lists no user {self._endpoint.user!r}", next_action="change it on the BMC")

    async def reset_bmc(self) -> None:
        """A BMC may be gone before it answers: once it had a session with us, its silence is consent."""
        async with self._operation() as link:
            try:
                await link.ask(device.COLD_RESET, repeat=False)
            except SilenceError:
                _log.info("no answer to the reset bmc=%s", self._endpoint.url)
            link.abandon()
            self._link, self._records = None, None

    async def close(self) -> None:
        async with self._turn(), self._translated():
            await self._hang_up()

    @asynccontextmanager
    async def _operation(self) -> AsyncIterator[Link]:
        async with self._turn(), self._translated():
            try:
                yield await self._standing() or await self._dial()
            finally:
                self._last_heard = self._clock.monotonic()

    async def _standing(self) -> Link | None:
        """The session that there is. A command that goes out once must not go into one that the BMC has ended."""
        rest, limits = self._clock.monotonic() - self._last_heard, self._limits
        if self._link is None or rest <= limits.rest_seconds:
            return self._link
        if rest <= limits.idle_seconds and await self._link.stands():
            return self._link
        self._link.abandon()
        self._link = None
        return None

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Waits no longer than an operation may take; what was begun has that long to itself."""
        try:
            async with asyncio.timeout(self._limits.operation_seconds):
                await self._one_at_a_time.acquire()
        except TimeoutError as error:
            seen = f"{self._endpoint.url}: waited {self._limits.operation_seconds:.0f} s"
            action = "ask again, or reset the BMC"
            raise BmcError(
                "the BMC is still busy with an earlier operation", evidence=seen, next_action=action
            ) from error
        try:
            yield
        finally:
            self._one_at_a_time.release()

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._limits.operation_seconds):
                yield
        except TimeoutError as error:
            self._drop()
            action = "reset the BMC"
            raise BmcError(f"{self._endpoint.url} does not finish in time", next_action=action) from error
        except SilenceError:
            self._drop()
            raise

    async def _dial(self) -> Link:
        address = await self._wire.resolve(self._where.host, self._where.port)
        credentials = credentials_of(self._endpoint, self._password)
        self._link, suite = await open_link(
            lambda: Link(self._wire, address, self._clock, self._rng, self._limits), credentials, self._suites
        )
        self._suites = (suite,)
        return self._link

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    def _drop(self) -> None:
        """Whoever does not answer may be another one when it answers again: every suite is tried."""
        link, self._link, self._suites = self._link, None, SUITES
        if link is not None:
            link.abandon()


async def _or(answer: Awaitable[bytes], otherwise: bytes, absent: tuple[int, ...] = (_NOT_PRESENT,)) -> bytes:
    """For what a BMC need not have. Silence is not an answer, and a refusal for another reason than `absent` is none
    either."""
    try:
        return await answer
    except BmcUnsupportedError:
        return otherwise
    except RefusedRequestError as error:
        if error.completion not in absent:
            raise
        return otherwise


async def _read_records(link: Link, reservation: bytes) -> tuple[SensorRecord, ...]:
    found, record = [], 0
    for _ in range(sensors.MAX_RECORDS):
        try:
            following, whole = await _read_record(link, reservation, record)
        except RefusedRequestError as error:
            if record or error.completion != _NOT_PRESENT:
                raise
            return ()  # the repository is empty
        if (known := sensors.sensor_record(whole)) is not None:
            found.append(known)
        if (record := following) == sensors.LAST:
            break
    return tuple(found)


async def _read_record(link: Link, reservation: bytes, record: int) -> tuple[int, bytes]:
    """In pieces: few BMCs can send a record whole."""
    request = sensors.read_record(reservation, record, 0, sensors.HEADER)
    following, whole = sensors.record_part(await link.ask(request))
    while len(whole) < (size := sensors.record_size(whole)):
        request = sensors.read_record(reservation, record, len(whole), min(sensors.CHUNK, size - len(whole)))
        _, part = sensors.record_part(await link.ask(request))
        if not part:
            break
        whole += part
    return following, whole


async def _reserved(link: Link, reserve: Request, work: Callable[[Link, bytes], Awaitable[T]]) -> T:
    """Someone else's reservation cancels ours: once more, then it is an error (sections 31.4, 33.11)."""
    try:
        return await work(link, (await link.ask(reserve))[:2])
    except RefusedRequestError as error:
        if error.completion != _RESERVATION_LOST:
            raise
        return await work(link, (await link.ask(reserve))[:2])


class IpmiDialler:
    """Implements `appliance.bmc.port.BmcDialler`."""

    def __init__(self, clock: Clock, rng: Rng, limits: IpmiLimits | None = None) -> None:
        self._clock, self._rng, self._limits = clock, rng, limits or IpmiLimits()
        self._wire = Wire()
        self._bmcs: dict[BmcEndpoint, IpmiBmc] = {}

    def dial(self, endpoint: BmcEndpoint) -> IpmiBmc:
        if endpoint not in self._bmcs:
            self._bmcs[endpoint] = IpmiBmc(endpoint, self._wire, self._clock, self._rng, self._limits)
        return self._bmcs[endpoint]

    async def close(self) -> None:
        bmcs, self._bmcs = self._bmcs, {}
        results = await asyncio.gather(*(bmc.close() for bmc in bmcs.values()), return_exceptions=True)
        for endpoint, result in zip(bmcs, results, strict=True):
            if isinstance(result, BaseException):
                _log.warning("session not closed bmc=%s cause=%r", endpoint.url, result)
        self._wire.close()

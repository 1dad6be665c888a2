"""The only sockets of NetBox: its REST API over HTTPS, no redirect, no proxy, bounded answers."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, assert_never
from urllib.parse import urlencode

from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector

from appliance.errors import AccessError, MachineryError, NotFoundError, UsageError
from appliance.model.codec import from_json
from appliance.model.text import clean
from appliance.netbox import deeds
from appliance.netbox.deeds import Deed, Made
from appliance.netbox.pages import AddressPage, DevicePage, Endpoint, InterfacePage, TypePage
from appliance.netbox.rest import IpAddress, Read, read
from appliance.netbox.wiring import PortChange, Wire, port_of

_PATIENCE = ClientTimeout(total=60)
_PAGE = "200"
_MOST_PAGES = 500
_ANSWER_LIMIT = 16 << 20
_AT_ONCE = 50

P = TypeVar("P", DevicePage, TypePage, InterfacePage, AddressPage)
D = TypeVar("D", DevicePage, TypePage, InterfacePage, AddressPage, Made)


class NetBox:
    """Raises `AccessError` for a token that may not, `NotFoundError`, `UsageError` for what NetBox refuses, and
    `MachineryError` for the rest."""

    def __init__(self, endpoint: Endpoint, ca_file: Path | None) -> None:
        self._endpoint, self._tls = endpoint, _trust(ca_file)

    async def read(self, site: str) -> Read:
        """All devices of the site with this slug."""
        async with self._session() as session:
            devices = await self._all(session, DevicePage, "dcim/devices/", {"site": site})
            types = await self._all(session, TypePage, "dcim/device-types/", {})
            ports = await self._all(session, InterfacePage, "dcim/interfaces/", {"site": site})
            found = [one for page in devices for one in page.results]
            addresses = await self._addresses(session, "device_id", [str(one.id) for one in found if one.primary_ip4])
        return read(
            found,
            [one for page in types for one in page.results],
            [one for page in ports for one in page.results],
            addresses,
        )

    async def addresses(self, wanted: Sequence[str]) -> list[IpAddress]:
        """Those of these IPv4 addresses that NetBox has."""
        async with self._session() as session:
            return await self._addresses(session, "address", wanted)

    async def _addresses(self, session: ClientSession, name: str, values: Sequence[str]) -> list[IpAddress]:
        found: list[IpAddress] = []
        for some in _batched(values, _AT_ONCE):
            pages = await self._all(session, AddressPage, "ipam/ip-addresses/", {name: some})
            found += [one for page in pages for one in page.results]
        return found

    async def wire(self, changes: Sequence[PortChange], found: Read) -> None:
        """One after the other, as `patch_devices`."""
        made: dict[tuple[str, str], int] = {}
        async with self._session() as session:
            for change in changes:
                await self._wire(session, change, found, made)

    async def _wire(
        self, session: ClientSession, change: PortChange, found: Read, made: dict[tuple[str, str], int]
    ) -> None:
        device, place = found.ids[change.machine], (change.machine, change.port)
        if change.what is Wire.PORT:
            made[place] = await self._make(session, deeds.port(device, change.port))
            return
        known = port_of(found.known.ports[change.machine], change.port, "")
        interface = made[place] if known is None else known.id
        match change.what:
            case Wire.MAC:
                mac = await self._make(session, deeds.mac(interface, change.after))
                await self._make(session, deeds.primary_mac(interface, mac))
            case Wire.CABLE:
                await self._make(session, deeds.cable(interface, change.far))
            case Wire.ADDRESS:
                held = found.known.addresses.get(change.after.partition("/")[0])
                address = await self._make(
                    session, deeds.address(interface, change.after, held.id if held is not None else 0)
                )
                await self._make(session, deeds.primary_address(device, address))
            case _:
                assert_never(change.what)

    async def _make(self, session: ClientSession, deed: Deed) -> int:
        data = await self._ask(session, deed.method, self._endpoint.at(deed.path), deed.body)
        return self._parsed(Made, data).id

    async def patch_devices(self, bodies: Mapping[int, bytes]) -> None:
        """One after the other: where one is refused, those before it are done, and a second run does the rest."""
        async with self._session() as session:
            for number, body in bodies.items():
                await self._ask(session, "PATCH", self._endpoint.at(f"dcim/devices/{number}/"), body)

    async def _all(
        self, session: ClientSession, kind: type[P], path: str, wanted: Mapping[str, str | Sequence[str]]
    ) -> list[P]:
        pages: list[P] = []
        url = f"{self._endpoint.at(path)}?{urlencode({**wanted, 'limit': _PAGE}, doseq=True)}"
        while url:
            if len(pages) == _MOST_PAGES:
                raise MachineryError("NetBox has no last page", evidence=clean(url, 200))
            page = self._parsed(kind, await self._ask(session, "GET", url, None))
            pages.append(page)
            url = self._endpoint.following(page.next)
        return pages

    def _parsed(self, kind: type[D], data: bytes) -> D:
        try:
            return from_json(kind, data)
        except UsageError as error:
            action = "name the base URL of a NetBox 4; its API is below /api/"
            raise MachineryError("NetBox's answer makes no sense", evidence=str(error), next_action=action) from error

    async def _ask(self, session: ClientSession, method: str, url: str, body: bytes | None) -> bytes:
        try:
            async with session.request(method, url, data=body, allow_redirects=False) as response:
                data = await response.content.read(_ANSWER_LIMIT)
                while not response.content.at_eof() and len(data) < _ANSWER_LIMIT:
                    data += await response.content.read(_ANSWER_LIMIT - len(data))
                status = response.status
        except (OSError, ClientError) as error:  # a TimeoutError is an OSError
            evidence = clean(f"{type(error).__name__}: {error}", 300)
            raise MachineryError("NetBox does not answer", evidence=evidence, next_action="check its URL") from error
        if 200 <= status < 300:
            return data
        raise _refused(status, data)

    def _session(self) -> ClientSession:
        return ClientSession(
            connector=TCPConnector(ssl=self._tls),
            cookie_jar=DummyCookieJar(),
            trust_env=False,
            timeout=_PATIENCE,
            headers={
                "Authorization": f"Token {self._endpoint.token.reveal()}",
                "Accept": "application/json",
                "Content-Type": "application/json",
            },
        )


def _batched(values: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (values[at : at + size] for at in range(0, len(values), size))


def _refused(status: int, data: bytes) -> AccessError | NotFoundError | UsageError | MachineryError:
    """NetBox says why: `{"detail": ...}`, or the faults by field."""
    evidence = clean(f"status {status}: {data[:2000].decode(errors='replace')}", 300)
    if status in (401, 403):
        action = "give a token that may read dcim, and change devices for an export"
        return AccessError("NetBox does not let us", evidence=evidence, next_action=action)
    if status == 404:
        return NotFoundError("NetBox has no such thing", evidence=evidence, next_action="check its base URL")
    if 400 <= status < 500:
        return UsageError("NetBox refuses this", evidence=evidence, next_action="correct it there, then begin again")
    return MachineryError("NetBox failed", evidence=evidence, next_action="look at NetBox's own log")


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        action = "give a file of certificates in PEM"
        raise MachineryError(f"{ca_file} cannot be read", evidence=str(error), next_action=action) from error

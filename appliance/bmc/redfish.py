"""The Redfish driver (DSP0266), over the `redfish` package's asynchronous client.

* Nothing is sent before the certificate matches its pin; redirects stay on the same host.
* One request in flight per BMC: many serve one at a time and answer the second with nonsense.
* Only a GET is repeated (Retry-After, session renewal). Every command starts with a GET, so that an expired
  session is renewed before the POST, which is sent once.
* Sessions where the service has them, basic authentication where it does not; never the second for the first's sake.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from redfish.aio import (
    AsyncRedfishClient,
    AsyncRestResponse,
    RedfishAuthenticationError,
    RedfishConnectionError,
    RedfishError,
    RedfishHTTPError,
    RedfishInvalidTargetError,
    RedfishPasswordChangeRequiredError,
    RedfishTimeoutError,
)

from appliance.bmc import redfish_codec as codec
from appliance.bmc.pinned import AnswerTooLargeError, PinnedSession, TidyConnector
from appliance.bmc.port import Bmc
from appliance.errors import BmcError
from appliance.model.bmc import BmcEndpoint, BootTarget, PowerCommand, PowerState, SystemIdentity
from appliance.ports import Clock
from pxe.client import Mac

_log = logging.getLogger(__name__)

_ROOT = "/redfish/v1/"
# Compressed answers get weak ETags from some BMCs, which they then refuse in If-Match.
_PLAIN = {"Accept-Encoding": "identity"}
_REDIRECTS = (301, 302, 307, 308)
_BUSY = (429, 503)
_NO_SESSIONS = (404, 405, 501)
_REPEATS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RedfishLimits:
    """`retry_after_seconds` is the longest wait a BMC may ask for; an operation is a few requests."""

    request_seconds: float = 20.0
    operation_seconds: float = 60.0
    retry_after_seconds: float = 15.0
    body_bytes: int = 1 << 20


class RedfishBmc:
    """Implements `appliance.bmc.port.Bmc`. Logs in at the first use, and again after `close`."""

    def __init__(
        self,
        endpoint: BmcEndpoint,
        http: Callable[[], aiohttp.ClientSession],
        clock: Clock,
        limits: RedfishLimits,
    ) -> None:
        self._endpoint = endpoint
        self._http = http
        self._clock = clock
        self._limits = limits
        self._fingerprint = _fingerprint(endpoint)
        self._one_at_a_time = asyncio.Lock()
        self._client: AsyncRedfishClient | None = None
        self._systems = ""
        self._system = ""

    async def identify(self) -> SystemIdentity:
        async with self._operation() as client:
            system = await self._get_system(client)
            return codec.system_identity(self._system, system, await self._macs(client, system))

    async def power_state(self) -> PowerState:
        async with self._operation() as client:
            return codec.power_state(await self._get_system(client))

    async def command(self, command: PowerCommand) -> None:
        async with self._operation() as client:
            action = codec.reset_action(await self._get_system(client))
            allowable = action.allowable
            if not allowable and action.info:
                allowable = codec.reset_types(await self._get(client, action.info))
            body = {"ResetType": codec.reset_type(command, allowable)}
            _accepted(await client.post(action.target, body=body, headers=_PLAIN))

    async def set_boot_once(self, target: BootTarget) -> BootTarget:
        async with self._operation() as client:
            answer = await self._fetch(client, await self._system_path(client))
            body = codec.boot_patch(target, codec.parse_document(answer.read))
            _accepted(await client.patch(self._system, body=body, headers=_PLAIN | _if_match(answer)))
            return codec.boot_override(await self._get_system(client))

    async def boot_override(self) -> BootTarget:
        async with self._operation() as client:
            return codec.boot_override(await self._get_system(client))

    async def close(self) -> None:
        """Deletes the session: BMCs keep a handful, and lock everyone out when they run out."""
        async with self._one_at_a_time:
            client, self._client = self._client, None
            if client is not None:
                async with self._translated():
                    await client.logout()

    @asynccontextmanager
    async def _operation(self) -> AsyncIterator[AsyncRedfishClient]:
        async with self._one_at_a_time, self._translated():
            if self._client is None:
                self._client = await self._connect()
            yield self._client

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Whatever goes wrong with the BMC becomes a `BmcError`, within the time an operation may take."""
        try:
            async with asyncio.timeout(self._limits.operation_seconds):
                yield
        except (RedfishError, TimeoutError, RecursionError) as error:
            if isinstance(error, RedfishAuthenticationError):
                self._client = None
            raise _bmc_error(error, self._endpoint) from error
        except BmcError:
            # The tree may have changed under us (firmware update): look for the system again next time.
            self._system = ""
            raise

    async def _connect(self) -> AsyncRedfishClient:
        client = self._new_client()
        answer = await self._fetch(client, _ROOT)
        if answer.status == HTTPStatus.UNAUTHORIZED:  # against DSP0266, and it hides the way to the sessions
            await client.login(auth="basic")
            root = await self._get(client, _ROOT)
        else:
            root = _document(answer)
            await (_login(client) if codec.has_sessions(root) else client.login(auth="basic"))
        self._systems = codec.link(root, "Systems")
        self._system = ""
        return client

    def _new_client(self) -> AsyncRedfishClient:
        endpoint, limits = self._endpoint, self._limits
        try:
            return AsyncRedfishClient(
                endpoint.url,
                username=endpoint.user,
                password=endpoint.password.reveal(),
                session=PinnedSession(self._http(), self._fingerprint, body_bytes=limits.body_bytes),
                timeout=limits.request_seconds,
            )
        except ValueError as error:
            raise _unusable(endpoint, str(error)) from error

    async def _system_path(self, client: AsyncRedfishClient) -> str:
        if not self._system:
            if not self._systems:
                raise BmcError("the BMC offers no systems", next_action="give the BMC of a server")
            collection = await self._get(client, self._systems)
            further = codec.next_page(collection)
            self._system = codec.only_system(codec.members(collection) + ((further,) if further else ()))
        return self._system

    async def _get_system(self, client: AsyncRedfishClient) -> codec.JsonObject:
        return await self._get(client, await self._system_path(client))

    async def _macs(self, client: AsyncRedfishClient, system: codec.JsonObject) -> tuple[Mac, ...]:
        path = codec.link(system, "EthernetInterfaces")
        if not path:
            return ()
        macs = [codec.mac_of(await self._get(client, nic)) for nic in codec.members(await self._get(client, path))]
        return tuple(dict.fromkeys(mac for mac in macs if mac is not None))

    async def _get(self, client: AsyncRedfishClient, path: str) -> codec.JsonObject:
        return _document(await self._fetch(client, path))

    async def _fetch(self, client: AsyncRedfishClient, path: str) -> AsyncRestResponse:
        """Follows redirects (the client refuses those to another host) and waits where the BMC asks for it."""
        answer = await client.get(path, headers=_PLAIN)
        for _ in range(_REPEATS):
            location, wait = answer.getheader("Location"), codec.retry_after(answer.getheader("Retry-After"))
            if answer.status in _REDIRECTS and location:
                path = location
            elif answer.status in _BUSY and wait is not None and wait <= self._limits.retry_after_seconds:
                await self._clock.sleep(wait)
            else:
                break
            answer = await client.get(path, headers=_PLAIN)
        return answer


class RedfishDialler:
    """Implements `appliance.bmc.port.BmcDialler`: one `RedfishBmc` per endpoint, one connection pool for all."""

    def __init__(self, clock: Clock, limits: RedfishLimits | None = None) -> None:
        self._clock = clock
        self._limits = limits or RedfishLimits()
        self._session: aiohttp.ClientSession | None = None
        self._bmcs: dict[BmcEndpoint, RedfishBmc] = {}

    def dial(self, endpoint: BmcEndpoint) -> Bmc:
        """Connects at the first operation. Raises `BmcError` for an endpoint that makes no sense."""
        if endpoint not in self._bmcs:
            self._bmcs[endpoint] = RedfishBmc(endpoint, self._http, self._clock, self._limits)
        return self._bmcs[endpoint]

    async def close(self) -> None:
        """Deletes every session; a BMC that does not answer is logged and left to its own time-out."""
        bmcs, self._bmcs = self._bmcs, {}
        results = await asyncio.gather(*(bmc.close() for bmc in bmcs.values()), return_exceptions=True)
        for endpoint, result in zip(bmcs, results, strict=True):
            if isinstance(result, BaseException):
                _log.warning("session not deleted bmc=%s cause=%r", endpoint.url, result)
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _http(self) -> aiohttp.ClientSession:
        """Made at first use: aiohttp wants a running loop."""
        if self._session is None:
            # Cookies would be shared between BMCs; a pooled connection that idles long is closed by many.
            connector = TidyConnector(limit=256, limit_per_host=1, keepalive_timeout=15)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


async def _login(client: AsyncRedfishClient) -> None:
    """Basic authentication only where the advertised sessions turn out not to exist."""
    try:
        await client.login(auth="session")
    except RedfishHTTPError as error:
        if error.response.status not in _NO_SESSIONS:
            raise
        await client.login(auth="basic")


def _document(answer: AsyncRestResponse) -> codec.JsonObject:
    _accepted(answer)
    return codec.parse_document(answer.read)


def _accepted(answer: AsyncRestResponse) -> None:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise RedfishAuthenticationError(codec.refusal(answer.status, answer.read))
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        evidence = codec.refusal(answer.status, answer.read)
        request = f"{answer.request.method} {codec.clean(answer.request.path)}"
        raise BmcError(f"the BMC refused {request}", evidence=evidence, next_action="see what the BMC says")


def _if_match(answer: AsyncRestResponse) -> dict[str, str]:
    """Some BMCs demand the ETag; some send an empty or weak one and then refuse it (RFC 9110 section 13.1.1)."""
    etag = codec.clean(answer.getheader("ETag"))
    return {"If-Match": etag} if len(etag) > 2 and etag.startswith('"') else {}


def _fingerprint(endpoint: BmcEndpoint) -> aiohttp.Fingerprint:
    try:
        return aiohttp.Fingerprint(bytes.fromhex(endpoint.fingerprint))
    except ValueError as error:
        raise _unusable(endpoint, "the fingerprint is not 64 hex digits") from error


def _unusable(endpoint: BmcEndpoint, why: str) -> BmcError:
    return BmcError(f"cannot use {endpoint.url}", evidence=why, next_action="correct the BMC's endpoint")


def _bmc_error(error: Exception, endpoint: BmcEndpoint) -> BmcError:
    where, cause = endpoint.url, error.__cause__
    seen = codec.clean(str(cause or error), 200)
    match error:
        case RedfishPasswordChangeRequiredError():
            return BmcError(f"{where} wants a new password", evidence=seen, next_action="change it on the BMC")
        case RedfishAuthenticationError():
            action = "check user and password; repeated failures lock accounts"
            return BmcError(f"{where} refuses user {endpoint.user!r}", evidence=seen, next_action=action)
        case RedfishInvalidTargetError():
            action = "distrust this BMC until someone looked at it"
            return BmcError(f"{where} points to another host", evidence=seen, next_action=action)
        case RedfishHTTPError():
            said = codec.refusal(error.response.status, error.response.read)
            return BmcError(f"{where} refused the log-in", evidence=said, next_action="see what the BMC says")
        case RedfishTimeoutError() | TimeoutError():
            return BmcError(f"{where} does not answer in time", evidence=seen, next_action="reset the BMC")
        case RedfishConnectionError():
            return _connection_error(cause, where, seen)
        case _:
            return BmcError(f"{where} does not speak Redfish", evidence=seen, next_action="check the address")


def _connection_error(cause: BaseException | None, where: str, seen: str) -> BmcError:
    match cause:
        case aiohttp.ServerFingerprintMismatch():
            got = f"SHA-256 {cause.got.hex()}, pinned {cause.expected.hex()}"
            action = "find out why before you pin the new one: nothing was sent to it"
            return BmcError(f"the certificate of {where} has changed", evidence=got, next_action=action)
        case AnswerTooLargeError():
            return BmcError(f"{where} answers without end", evidence=seen, next_action="check the address")
        case _:
            action = "check the BMC's address, cable and power"
            return BmcError(f"{where} cannot be reached", evidence=seen, next_action=action)

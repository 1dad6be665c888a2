"""The conversation with one Redfish service (DSP0266), over the `redfish` package's asynchronous client.

* Nothing is sent before the certificate matches its pin; redirects stay on the same host.
* One request in flight per BMC: many serve one at a time and answer the second with nonsense.
* Only a GET is repeated (Retry-After, session renewal), and a PATCH that a stale ETag kept from having any effect.
  Every command starts with a GET, so that an expired session is renewed before the POST, which is sent once.
* Sessions where the service has them, basic authentication where it does not; never the second for the first's sake.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

from redfish.aio import (
    AsyncRedfishClient,
    AsyncRestResponse,
    RedfishAuthenticationError,
    RedfishError,
    RedfishHTTPError,
    RedfishPasswordChangeRequiredError,
    RedfishTimeoutError,
)

from appliance.bmc import redfish_codec as codec
from appliance.bmc.codec.text import clean
from appliance.bmc.pace import Pace
from appliance.bmc.pinned import PinnedSession
from appliance.bmc.redfish_errors import RefusalError, bmc_error, busy, refused, tired, unusable
from appliance.errors import BmcError
from appliance.model.bmc import BmcEndpoint
from appliance.model.secret import Secret
from appliance.ports import Clock

_ROOT = "/redfish/v1/"
_REDIRECTS = (301, 302, 307, 308)
_BUSY = (429, 503)
_PRECONDITIONS = (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.PRECONDITION_REQUIRED)
_NO_SESSIONS = (404, 405, 501)
_REPEATS = 3
_MAX_PAGES = 32
# Dell: "data sources are unavailable", without a Retry-After.
_NOT_YET = "SYS518"
_NOT_YET_SECONDS = 5.0

_log = logging.getLogger(__name__)
_Ask = Callable[[AsyncRedfishClient], Awaitable[AsyncRestResponse]]
_BodyOf = Callable[[codec.JsonObject], codec.JsonObject]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedfishLimits:
    """`retry_after_seconds` is the longest wait a BMC may ask for; an operation is a few requests, a task many.

    An operation's seconds count from its turn; for that it waits `turn_seconds` at most.
    """

    request_seconds: float = 20.0
    operation_seconds: float = 60.0
    turn_seconds: float = 120.0
    retry_after_seconds: float = 15.0
    task_seconds: float = 3600.0
    task_poll_seconds: float = 5.0
    task_pause_seconds: float = 60.0
    body_bytes: int = 1 << 20


class RedfishLink:
    """Logs in at the first use, and again after `close`. Its requests are made inside `operation` only."""

    def __init__(self, endpoint: BmcEndpoint, tls: ssl.SSLContext, clock: Clock, limits: RedfishLimits) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._limits = limits
        self._session = PinnedSession(tls, _fingerprint(endpoint), body_bytes=limits.body_bytes)
        self._one_at_a_time = asyncio.Lock()
        self._password = endpoint.password
        self._secrets = [endpoint.password]
        self._client: AsyncRedfishClient | None = None
        self._pace = Pace.of(0.0)
        self._asked_at = self._changed_at = float("-inf")
        self._deadline = float("inf")
        self._renewable = False
        self._basic = False
        self.root: codec.JsonObject = {}
        self.change_gap = 0.0

    @asynccontextmanager
    async def operation(self) -> AsyncIterator[None]:
        """Raises `PasswordDueError`, before anything else, where the BMC wants another password first."""
        async with self._turn(), self._translated():
            await self._connected()
            yield

    @asynccontextmanager
    async def unlocking(self, password: Secret) -> AsyncIterator[str]:
        """An operation in which the BMC may do nothing but take a password; gives the path of our account or ""."""
        self._secrets.append(password)
        async with self._turn(), self._translated():
            path = ""
            try:
                await self._connected()
            except RedfishPasswordChangeRequiredError as error:
                path = codec.path_of({"@odata.id": error.password_change_uri})
                # Some give a session for this, some refuse one (DSP0266 section 13.6.6).
                if path and (await self.fetch(path)).status == HTTPStatus.UNAUTHORIZED:
                    await self._client_now().login(auth="basic")
            yield path

    async def use(self, password: Secret) -> None:
        """Logs out, and in with `password`: for the end of `unlocking`. The old session may have ended by itself."""
        self._password = password
        await self._give_up()
        await self._connected()

    async def close(self) -> None:
        """Deletes the session: BMCs keep a handful, and lock everyone out when they run out."""
        async with self._turn(), self._translated():
            await self._log_out()

    def forget(self) -> None:
        """The BMC restarts: its sessions end by themselves."""
        self._client = None
        self._session.close()

    async def get(self, path: str) -> codec.JsonObject:
        answer = await self.fetch(path)
        accepted(answer)
        return codec.parse_document(answer.read)

    async def collection(self, path: str) -> tuple[codec.JsonObject, ...]:
        """All members, over all pages; without those that are gone when they are asked for."""
        found: list[codec.JsonObject] = []
        page = await self._first_page(path)
        for _ in range(_MAX_PAGES):
            for member in codec.member_objects(page):
                with suppress(_GoneError):
                    found.append(member if len(member) > 1 else await self._present(codec.path_of(member)))
            if not (path := codec.next_page(page)):
                break
            page = await self.get(path)
        return tuple(found)

    async def _first_page(self, path: str) -> codec.JsonObject:
        expand = codec.child(self.root, "ProtocolFeaturesSupported", "ExpandQuery")
        if expand.get("NoLinks") is True:
            with suppress(RefusalError):
                return await self.get(f"{path}?$expand=.")
        return await self.get(path)

    async def _present(self, path: str) -> codec.JsonObject:
        try:
            return await self.get(path)
        except RefusalError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            raise _GoneError from error

    async def fetch(self, path: str) -> AsyncRestResponse:
        """Follows redirects (the client refuses those to another host) and waits where the BMC asks for it."""
        answer = await self._read(path)
        for _ in range(_REPEATS):
            location, wait = answer.getheader("Location"), _wait(answer)
            if answer.status in _REDIRECTS and location:
                path = location
            elif wait is not None and wait <= min(self._limits.retry_after_seconds, self._left()):
                await self._clock.sleep(wait)
            else:
                break
            answer = await self._read(path)
        return answer

    async def _read(self, path: str) -> AsyncRestResponse:
        answer = await self._get(path)
        if answer.status == HTTPStatus.UNAUTHORIZED and self._renewable:
            # The client lost its session in an earlier operation, when it could not be renewed.
            self._renewable = False
            await self._give_up()
            await self._connected()
            answer = await self._get(path)
        return answer

    async def _get(self, path: str) -> AsyncRestResponse:
        return await self._send(lambda client: client.get(path))

    async def patch(self, path: str, body_of: _BodyOf) -> AsyncRestResponse:
        """`body_of` is given the present state. Where that changed under us, or the BMC wants another form of the
        ETag, both are asked once more: the refused request had no effect (RFC 9110 section 13.1.1, RFC 6585 section 3).
        """
        answer = await self._patch(path, body_of, _if_match)
        if answer.status in _PRECONDITIONS:
            answer = await self._patch(path, body_of, _if_match_at_any_rate)
        accepted(answer)
        return answer

    async def _patch(self, path: str, body_of: _BodyOf, if_match: Callable[[str], dict[str, str]]) -> AsyncRestResponse:
        present = await self.fetch(path)
        accepted(present)
        body = body_of(codec.parse_document(present.read))
        headers = if_match(clean(present.getheader("ETag")))
        return await self._change(lambda client: client.patch(path, body=body, headers=headers))

    async def post(self, path: str, body: codec.JsonObject) -> AsyncRestResponse:
        answer = await self._change(lambda client: client.post(path, body=body))
        accepted(answer)
        return answer

    async def ask(self, path: str, body: codec.JsonObject) -> AsyncRestResponse:
        """A POST that changes nothing: no change has to wait for it."""
        answer = await self._send(lambda client: client.post(path, body=body))
        accepted(answer)
        return answer

    async def _change(self, ask: _Ask) -> AsyncRestResponse:
        await self._rest(self.change_gap - (self._clock.monotonic() - self._changed_at))
        try:
            return await self._send(ask)
        finally:
            self._changed_at = self._clock.monotonic()

    async def _send(self, ask: _Ask) -> AsyncRestResponse:
        await self._rest(self._pace.wait(self._clock.monotonic() - self._asked_at))
        try:
            answer = await ask(self._client_now())
        except RedfishTimeoutError:
            self._pace = self._pace.overrun()
            raise
        finally:
            self._asked_at = self._clock.monotonic()
        self._pace = self._pace.overrun() if answer.status in _BUSY else self._pace.content()
        return answer

    async def _rest(self, seconds: float) -> None:
        """Fails at once where the operation would end meanwhile: what was not sent leaves no doubt."""
        if seconds > self._left():
            raise tired(self._endpoint, seconds)
        if seconds > 0:
            await self._clock.sleep(seconds)

    def _left(self) -> float:
        return self._deadline - self._clock.monotonic()

    def _client_now(self) -> AsyncRedfishClient:
        if self._client is None:
            url = self._endpoint.url
            raise BmcError(f"no session with {url}", evidence="it ended meanwhile", next_action="try again")
        return self._client

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Operations wait for each other, but not for ever: those behind a BMC that hangs are to hear of it."""
        try:
            async with asyncio.timeout(self._limits.turn_seconds):
                await self._one_at_a_time.acquire()
        except TimeoutError as error:
            raise busy(self._endpoint, self._limits.turn_seconds) from error
        try:
            yield
        finally:
            self._one_at_a_time.release()

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        """Whatever goes wrong with the BMC becomes a `BmcError`, within the time an operation may take.

        What the root said may have been the trouble, as while a BMC starts: it is read again then.
        """
        self._deadline = self._clock.monotonic() + self._limits.operation_seconds
        self._renewable = self._client is not None and not self._basic
        try:
            async with asyncio.timeout(self._limits.operation_seconds):
                yield
        except (RedfishError, TimeoutError, RecursionError) as error:
            if isinstance(error, RedfishAuthenticationError):
                await self._give_up()
            self.root = {}
            raise bmc_error(error, self._endpoint) from error
        except BmcError as error:
            self.root = {}
            for secret in self._secrets:  # some quote a refused password
                error.evidence = error.evidence.replace(secret.reveal(), "***")
            raise

    async def _give_up(self) -> None:
        """A session with a password to change, or one that the BMC no longer knows, is not to stay in its table."""
        try:
            async with asyncio.timeout(self._limits.request_seconds):
                await self._log_out()
        except (RedfishError, TimeoutError) as error:
            _log.info("session not deleted bmc=%s cause=%r", self._endpoint.url, error)

    async def _log_out(self) -> None:
        client, self._client = self._client, None
        try:
            if client is not None:
                await client.logout()
        finally:
            self._session.close()

    async def _connected(self) -> None:
        if self._client is not None:
            self.root = self.root or await self.get(_ROOT)
            return
        self._client = client = self._new_client()
        try:
            await self._log_in(client)
        except RedfishPasswordChangeRequiredError:
            raise
        except BaseException:
            self._client = None
            raise

    async def _log_in(self, client: AsyncRedfishClient) -> None:
        answer = await self.fetch(_ROOT)
        self._basic = True
        if answer.status == HTTPStatus.UNAUTHORIZED:  # against DSP0266, and it hides the way to the sessions
            await client.login(auth="basic")
            self.root = await self.get(_ROOT)
            return
        accepted(answer)
        self.root = codec.parse_document(answer.read)
        self._basic = not codec.has_sessions(self.root) or not await _opened_session(client)
        if self._basic:
            await client.login(auth="basic")

    def _new_client(self) -> AsyncRedfishClient:
        endpoint, limits = self._endpoint, self._limits
        try:
            return AsyncRedfishClient(
                endpoint.url,
                username=endpoint.user,
                password=self._password.reveal(),
                session=self._session,
                timeout=limits.request_seconds,
            )
        except ValueError as error:
            raise unusable(endpoint, str(error)) from error


class _GoneError(Exception):
    pass


async def _opened_session(client: AsyncRedfishClient) -> bool:
    """False only where the advertised sessions turn out not to exist."""
    try:
        await client.login(auth="session")
    except RedfishHTTPError as error:
        if error.response.status not in _NO_SESSIONS:
            raise
        return False
    return True


def accepted(answer: AsyncRestResponse) -> None:
    """Raises `RefusalError` (a `BmcError`) unless the BMC says yes, and for its password `PasswordDueError`."""
    if answer.status == HTTPStatus.UNAUTHORIZED:
        raise RedfishAuthenticationError(codec.refusal(answer.status, answer.read))
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise refused(f"{answer.request.method} {clean(answer.request.path)}", answer.status, answer.read)


def _wait(answer: AsyncRestResponse) -> float | None:
    if answer.status in _BUSY and (seconds := codec.retry_after(answer.getheader("Retry-After"))) is not None:
        return seconds
    if answer.status >= HTTPStatus.BAD_REQUEST and _NOT_YET in codec.message_ids(answer.read):
        return _NOT_YET_SECONDS
    return None


def _if_match(etag: str) -> dict[str, str]:
    """Some BMCs demand the ETag; some send an empty or weak one and then refuse it (RFC 9110 section 13.1.1)."""
    return {"If-Match": etag} if len(etag) > 2 and etag.startswith('"') else {}


def _if_match_at_any_rate(etag: str) -> dict[str, str]:
    """For those that demand one and do not send one that they take: without the weakness, else any."""
    return _if_match(etag.removeprefix("W/")) or {"If-Match": "*"}


def _fingerprint(endpoint: BmcEndpoint) -> bytes:
    try:
        found = bytes.fromhex(endpoint.fingerprint)
    except ValueError:
        found = b""
    if len(found) != sha256().digest_size:
        raise unusable(endpoint, "the fingerprint is not 64 hex digits")
    return found

"""One session with one BMC over a `Wire`: set up, asked one question at a time, closed.

A request that may be repeated is sent again with the same IPMI sequence number; one that may not (power cycle, reset)
is sent once, and its missing answer is an error that says so.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from appliance.bmc.ipmi import packet, rakp
from appliance.bmc.ipmi.packet import Payload, Request, Response
from appliance.bmc.ipmi.rakp import Credentials, Half, Keys, NoSuiteError, Suite
from appliance.bmc.ipmi.session import IV_BYTES, Window, seal, unseal
from appliance.bmc.ipmi.wire import Address, Wire
from appliance.errors import BmcError, BmcLoginError, BmcSilentError, BmcUnsupportedError
from appliance.ports import Clock, Rng

T = TypeVar("T")

_APP = 0x06
_GET_DEVICE_ID, _GET_AUTH_CAPABILITIES, _SET_PRIVILEGE, _CLOSE_SESSION = 0x01, 0x38, 0x3B, 0x3C
_THIS_CHANNEL_V20 = 0x8E
_BUSY = 0xC0
_PRIVILEGE = 0xD4
_LEVEL_REFUSED = (0x80, 0x81, _PRIVILEGE)  # table 22-23
_SHORTEST_GAP, _LONGEST_GAP = 0.1, 4.0
_UNSUPPORTED = (0xC1, 0xC2, 0xD6)
_COMPLETIONS = {
    0xC0: "node busy",
    0xC3: "time-out",
    0xC4: "out of space",
    0xC5: "reservation cancelled",
    0xC7: "data of the wrong length",
    0xC9: "parameter out of range",
    0xCA: "cannot return that many bytes",
    0xCB: "not present",
    0xCC: "invalid data field",
    0xD4: "insufficient privilege",
    0xD5: "not supported in the present state",
    0xFF: "unspecified",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IpmiLimits:
    """`tries_seconds` is how long each try of a request waits for its answer. BMCs end sessions that were idle for 60 s
    (section 6.12.15): after `idle_seconds` ours is not trusted any more. Some end theirs sooner (OpenIPMI's simulator
    after 30 s): after `rest_seconds` they are asked whether it stands. A BMC that says that it is busy is asked again
    for `busy_seconds`."""

    tries_seconds: tuple[float, ...] = (1.0, 1.5, 2.5, 4.0)
    operation_seconds: float = 60.0
    busy_seconds: float = 30.0
    idle_seconds: float = 45.0
    rest_seconds: float = 10.0


class SilenceError(BmcSilentError):
    """After all the tries that were due."""


class RefusedRequestError(BmcError):
    """`completion` is the completion code (table 5-2)."""

    def __init__(self, request: Request, completion: int) -> None:
        said = _COMPLETIONS.get(completion, "specific to the command")
        super().__init__(
            f"the BMC refused IPMI command 0x{request.netfn:02x} 0x{request.command:02x}",
            evidence=f"completion code 0x{completion:02x}: {said}",
            next_action="see what the BMC says",
        )
        self.completion = completion


_OPERATOR, _ADMINISTRATOR = "Operator", "Administrator"
# Appendix G, of what we ask for; the rest is for every user.
_NEEDS = {
    (0x00, 0x02): _OPERATOR,
    (0x00, 0x04): _OPERATOR,
    (0x00, 0x08): _OPERATOR,
    (0x00, 0x09): _OPERATOR,
    (_APP, 0x02): _ADMINISTRATOR,
    (_APP, 0x44): _OPERATOR,
    (_APP, 0x46): _OPERATOR,
    (_APP, 0x47): _ADMINISTRATOR,
    (0x0A, 0x47): _OPERATOR,
}


class PrivilegeError(RefusedRequestError):
    """The user may log in, but not do this."""

    def __init__(self, request: Request) -> None:
        super().__init__(request, _PRIVILEGE)
        needed = _NEEDS.get((request.netfn, request.command), "User")
        self.next_action = f"give the BMC's user the privilege {needed} on its LAN channel"


class Link:
    """`take` gets the payloads of the serial line, if there is one."""

    def __init__(
        self,
        wire: Wire,
        address: Address,
        clock: Clock,
        rng: Rng,
        limits: IpmiLimits,
        take: Callable[[bytes], None] | None = None,
    ) -> None:
        self._wire, self._address, self._clock, self._rng = wire, address, clock, rng
        self._limits, self._take = limits, take
        self._console = Half(session=int(rng.token(4), 16) or 1, nonce=self._random(16))
        self._bmc = 0
        self._keys: Keys | None = None
        self._sequence = 0
        self._asked = 0
        self._gap = _SHORTEST_GAP
        self._window = Window()
        self._offer: Callable[[bytes], None] | None = None

    async def open(self, credentials: Credentials, suite: Suite) -> None:
        """Raises `NoSuiteError`, `BmcLoginError`, `BmcSessionsFullError`, or `SilenceError`."""
        self._wire.listen(self._address, self._console.session, self._got)
        try:
            with self._listening_to_all():
                await self._authenticate(credentials, suite)
            await self._rise()
        except BaseException:
            self.abandon()
            raise

    async def _rise(self) -> None:
        try:
            await self.ask(Request(netfn=_APP, command=_SET_PRIVILEGE, data=bytes((rakp.ADMINISTRATOR,))))
        except (RefusedRequestError, BmcUnsupportedError) as error:
            with contextlib.suppress(SilenceError):
                await self.close()
            if isinstance(error, RefusedRequestError) and error.completion in _LEVEL_REFUSED:
                action = f"give the BMC's user the privilege {_ADMINISTRATOR} on its LAN channel"
                what = "the BMC's user may not be administrator"
                raise BmcLoginError(what, evidence=error.evidence, next_action=action) from error
            raise

    async def probe(self) -> None:
        """Anyone may ask. Raises `BmcUnsupportedError` for a BMC that speaks IPMI 1.5 only: it would not encrypt."""
        data = bytes((_THIS_CHANNEL_V20, rakp.ADMINISTRATOR))
        request = Request(netfn=_APP, command=_GET_AUTH_CAPABILITIES, data=data)
        datagram = packet.encode_bare(packet.encode_request(request))
        with self._listening_to_all():
            response = await self._converse(
                lambda: self._wire.send(self._address, datagram),
                lambda got: _matching(packet.decode_bare(got), request),
            )
        if response.code or len(response.data) < 4 or not (response.data[1] & 0x80 and response.data[3] & 2):
            seen = f"completion code 0x{response.code:02x}, {response.data[:16].hex()}"
            raise BmcUnsupportedError("the BMC does not offer IPMI 2.0", evidence=seen, next_action="use Redfish")

    @contextmanager
    def _listening_to_all(self) -> Iterator[None]:
        """To what names no session, too."""
        self._wire.listen(self._address, 0, self._got)
        try:
            yield
        finally:
            self._wire.forget(self._address, 0)

    async def _authenticate(self, credentials: Credentials, suite: Suite) -> None:
        console = self._console
        request = rakp.open_request(suite, console.session)
        answer = await self._shake(Payload.OPEN_REQUEST, request, Payload.OPEN_RESPONSE)
        self._bmc = rakp.opened(answer, suite, console.session)
        request = rakp.rakp1(credentials, self._bmc, console.nonce)
        answer = await self._shake(Payload.RAKP1, request, Payload.RAKP2)
        theirs, guid = rakp.rakp2(answer, suite, credentials, console, self._bmc)
        keys = rakp.derive(suite, credentials, console, theirs)
        request = rakp.rakp3(suite, credentials, console, theirs)
        answer = await self._shake(Payload.RAKP3, request, Payload.RAKP4)
        rakp.check_rakp4(answer, keys, console, theirs, guid)
        self._keys = keys

    async def ask(self, request: Request, *, repeat: bool = True) -> bytes:
        """The data of the answer. Raises `RefusedRequestError`, `BmcUnsupportedError` or `SilenceError`."""
        tries = self._limits.tries_seconds if repeat else (sum(self._limits.tries_seconds),)
        response = await self._exchange(request, tries)
        until = self._clock.monotonic() + self._limits.busy_seconds
        while repeat and response.code == _BUSY and self._clock.monotonic() < until:
            await self._clock.sleep(self._gap)
            self._gap = min(2 * self._gap, _LONGEST_GAP)
            response = await self._exchange(request, tries)
        if response.code != _BUSY:
            self._gap = max(self._gap / 2, _SHORTEST_GAP)
        if response.code == _PRIVILEGE:
            raise PrivilegeError(request)
        if response.code in _UNSUPPORTED:
            seen = f"completion code 0x{response.code:02x}"
            what = f"the BMC knows no IPMI command 0x{request.netfn:02x} 0x{request.command:02x}"
            raise BmcUnsupportedError(what, evidence=seen, next_action="use another way")
        if response.code:
            raise RefusedRequestError(request, response.code)
        return response.data

    async def stands(self) -> bool:
        """Whether the BMC still knows the session: to one that it has ended it says nothing."""
        try:
            await self._exchange(Request(netfn=_APP, command=_GET_DEVICE_ID, data=b""), self._limits.tries_seconds[:2])
        except SilenceError:
            return False
        return True

    async def _exchange(self, request: Request, tries: tuple[float, ...]) -> Response:
        self._asked = (self._asked + 1) & 0x3F
        numbered = replace(request, sequence=self._asked)
        message = packet.encode_request(numbered)
        return await self._converse(
            lambda: self.send(Payload.IPMI, message), lambda body: _matching(body, numbered), tries
        )

    def send(self, payload: Payload, body: bytes) -> None:
        """Every datagram has a session sequence number of its own, repeated ones too: a BMC drops duplicates."""
        if self._keys is None:
            raise SilenceError("the IPMI session is closed", next_action="open it again")
        self._sequence += 1
        iv = self._random(IV_BYTES)
        self._wire.send(self._address, seal(self._keys, payload, self._bmc, self._sequence, body, iv))

    async def _shake(self, payload: Payload, body: bytes, wanted: Payload) -> bytes:
        datagram = packet.encode_frame(payload, 0, 0, body)
        return await self._converse(
            lambda: self._wire.send(self._address, datagram), lambda got: _handshake(got, wanted)
        )

    async def _converse(
        self, send: Callable[[], None], match: Callable[[bytes], T | None], tries: tuple[float, ...] = ()
    ) -> T:
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def offer(body: bytes) -> None:
            if not answered.done() and (answer := match(body)) is not None:
                answered.set_result(answer)

        self._offer, tries = offer, tries or self._limits.tries_seconds
        try:
            for seconds in tries:
                send()
                await asyncio.wait((answered,), timeout=seconds)
                if answered.done():
                    return answered.result()
        finally:
            self._offer = None
        seen = f"{len(tries)} datagrams in {sum(tries):.1f} s"
        action = "check the BMC's address, cable and power" if len(tries) > 1 else "read the state before asking again"
        raise SilenceError(f"{self._address[0]} does not answer IPMI in time", evidence=seen, next_action=action)

    def _got(self, datagram: bytes) -> None:
        body = datagram
        if self._keys is not None:
            frame, body = unseal(self._keys, datagram, self._console.session)
            if (window := self._window.accept(frame.sequence)) is None:
                return
            self._window = window
            if frame.payload is Payload.SOL and self._take is not None:
                self._take(body)
            if frame.payload is not Payload.IPMI:
                return
        if self._offer is not None:
            self._offer(body)

    async def close(self) -> None:
        """A BMC has a handful of sessions: ours is given back, if it still listens."""
        try:
            data = self._bmc.to_bytes(4, "little")
            request = Request(netfn=_APP, command=_CLOSE_SESSION, data=data)
            await self._exchange(request, self._limits.tries_seconds[:1])
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Without a word: the BMC ends an idle session by itself."""
        self._wire.forget(self._address, self._console.session)
        self._keys = None

    def _random(self, size: int) -> bytes:
        return bytes.fromhex(self._rng.token(size))


async def open_link(new: Callable[[], Link], credentials: Credentials, suites: tuple[Suite, ...]) -> tuple[Link, Suite]:
    """A session under the first of `suites` that the BMC takes. A refused password is not tried again under another."""
    link = new()
    await link.probe()
    trouble: BmcError = NoSuiteError("no cipher suite to try", next_action="allow one")
    for suite in suites:
        try:
            await link.open(credentials, suite)
        except (NoSuiteError, SilenceError) as error:  # some BMCs do not answer to a suite that they do not know
            trouble, link = error, new()
        else:
            return link, suite
    raise trouble


def _matching(message: bytes, request: Request) -> Response | None:
    response = packet.decode_response(message)
    asked = (request.netfn | 1, request.command, request.sequence)
    return response if (response.netfn, response.command, response.sequence) == asked else None


def _handshake(datagram: bytes, wanted: Payload) -> bytes | None:
    frame = packet.decode_frame(datagram)
    return frame.body if frame.payload is wanted else None

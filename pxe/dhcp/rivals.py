"""Who serves DHCP on this segment: we, another appliance, or a foreign server. Pure.

Two servers that know nothing of each other give one address to two machines. So a server asks before it serves
(`rival_packet.Question`), every 0.75 s for 4.5 s: some servers ping an address for 3 s before they offer it. Then it
asks once a minute, soon when it hears a server that it does not know, and as often as at the start while another
appliance wants to serve: messages get lost.

    starting --nobody answered--> active        answers machines and other appliances
             --an appliance-----> passive       answers nothing until an operator takes over
             --a foreign server-> blocked       (Foreign) the operator stops that server, or uses proxy mode

Between appliances: an active one wins over a starting one; of two starting ones the lower identity wins; of two active
ones (a cut between them has healed) the higher identity turns passive. An appliance whose identity was copied is told
apart by its hardware address.

To take over is to start again, not to be active at once: if the other one still serves, two would.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import assert_never

from pxe.dhcp.rival_packet import Claim, Heard, Notice, Question, Role, ServerMessage
from pxe.errors import ServiceError

START_SECONDS = 4.5
_START_INTERVAL = 0.75
_INTERVAL = 60.0
_SOONEST = 5.0
_SETTLE_SECONDS = 1.0
"""A server that is heard may be an appliance whose claim is still under way."""
_GONE_SECONDS = 190.0
_REPEAT_SECONDS = 600.0
_MOST = 64
_UNSEEN = bytes(6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """Not known yet: answer nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """Serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passive:
    """Another appliance serves: answer nothing. `identity` 16 bytes, `mac` 6."""

    identity: bytes
    mac: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """A DHCP server that is none of ours. `mac` is 6 bytes, zero when machines named it and we never
    saw a frame of it; `vendor` is its own word, mostly empty."""

    server: IPv4Address
    mac: bytes
    vendor: str


Standing = Starting | Active | Passive | Foreign


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Send a question with this notice."""

    notice: Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Send a claim with this notice."""

    notice: Notice
    question: Question


@dataclass(frozen=True, slots=True, kw_only=True)
class Stands:
    """Our standing has changed."""

    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalSeen:
    """A foreign server gives out addresses while we serve; told at most every 10 minutes for each."""

    rival: Foreign


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalGone:
    """Not heard for three minutes, although we asked."""

    rival: Foreign | Passive


RivalEvent = Stands | RivalSeen | RivalGone
Action = Ask | Answer | RivalEvent


def refusal(rival: Foreign) -> ServiceError:
    """Why full DHCP is not started."""
    name = f" ({rival.vendor})" if rival.vendor else ""
    return ServiceError(
        f"another DHCP server{name} already serves this segment",
        evidence=f"server identifier {rival.server}, {_found_at(rival.mac)}",
        next_action=f"stop the DHCP server {rival.server} and start again, or run in proxy mode beside it",
    )


def sentence(event: RivalEvent) -> str:
    """For people: what was seen, what we do, what they should do."""
    match event:
        case Stands():
            return _stands(event.standing)
        case RivalSeen():
            rival = event.rival
            return (
                f"a second DHCP server {rival.server} ({_found_at(rival.mac)}) answers machines on this segment: they "
                "may get its address and not boot; find its switch port by the hardware address and stop it"
            )
        case RivalGone():
            return _gone(event.rival)
        case _:
            assert_never(event)


def _stands(standing: Standing) -> str:
    match standing:
        case Starting():
            return "listening for other DHCP servers; no machine is answered yet"
        case Active():
            return "no other DHCP server was heard: DHCP is served"
        case Passive():
            return (
                f"another appliance serves DHCP on this segment ({_found_at(standing.mac)}): this one answers nothing; "
                "stop the other one before this one is to take over"
            )
        case Foreign():
            error = refusal(standing)
            return f"{error} ({error.evidence}): DHCP is not served; {error.next_action}"
        case _:
            assert_never(standing)


def _gone(rival: Foreign | Passive) -> str:
    match rival:
        case Foreign():
            return f"the DHCP server {rival.server} has not been heard for three minutes"
        case Passive():
            return (
                f"the appliance that served DHCP ({_found_at(rival.mac)}) has not been heard for three minutes: nobody "
                "answers machines now; let this one take over, or start it again"
            )
        case _:
            assert_never(rival)


def _found_at(mac: bytes) -> str:
    return "its hardware address was not seen" if mac == _UNSEEN else f"hardware address {mac.hex(':')}"


@dataclass(slots=True)
class _Sighting:
    first: float
    last: float
    told: float | None = None


class Rivals:
    """Every method takes the time, in seconds that never jump; carry out what `hear` and `tick` return, in order.

    Call `tick` about ten times a second while starting, else once a second.
    """

    def __init__(
        self, *, identity: bytes, mac: bytes, own: frozenset[IPv4Address], now: float, resumes: bool = False
    ) -> None:
        """`mac` is the hardware address of our device, `own` the server identifiers that we answer with. `resumes`: we
        served until a moment ago and go on, while we ask."""
        self._rank = (identity, mac)
        self._own = own
        self._kin: set[IPv4Address] = set()
        self._sightings: dict[Foreign, _Sighting] = {}
        self._standing: Standing = Active() if resumes else Starting()
        self._winner_heard = now
        self._started = self._next_ask = now
        self._asked = now - _SOONEST
        self._contested_until = now + START_SECONDS if resumes else now

    @property
    def standing(self) -> Standing:
        return self._standing

    def take_over(self, now: float) -> tuple[Action, ...]:
        """The operator's word: passive or blocked, we try again."""
        if isinstance(self._standing, Starting | Active):
            return ()
        self._sightings.clear()
        self._started = self._next_ask = now
        return self._stand(Starting())

    def hear(self, heard: Heard, now: float) -> tuple[Action, ...]:
        match heard:
            case ServerMessage():
                self._sight(Foreign(server=heard.server, mac=heard.mac, vendor=heard.vendor), now)
                return ()
            case Claim():
                if len(self._kin) < _MOST:
                    self._kin.add(heard.server)
                return self._judge(heard.notice, heard.mac, None, now)
            case Question():
                return self._judge(heard.notice, heard.mac, heard, now)
            case _:
                assert_never(heard)

    def named(self, server: IPv4Address, now: float) -> None:
        """A machine's REQUEST, not relayed, names this server. It is broadcast; the server's words may not reach us."""
        known = next((rival for rival in self._sightings if rival.server == server), None)
        self._sight(known or Foreign(server=server, mac=_UNSEEN, vendor=""), now)

    def tick(self, now: float) -> tuple[Action, ...]:
        actions = (*self._decide_start(now), *self._tell_seen(now), *self._tell_gone(now))
        if now < self._next_ask:
            return actions
        self._asked = now
        contested = isinstance(self._standing, Starting) or now < self._contested_until
        self._next_ask = now + (_START_INTERVAL if contested else _INTERVAL)
        return (*actions, Ask(notice=self._notice()))

    def _notice(self) -> Notice:
        match self._standing:
            case Starting():
                role = Role.STARTING
            case Active():
                role = Role.ACTIVE
            case Passive() | Foreign():
                role = Role.PASSIVE
            case _:
                assert_never(self._standing)
        return Notice(identity=self._rank[0], role=role)

    def _judge(self, theirs: Notice, mac: bytes, question: Question | None, now: float) -> tuple[Action, ...]:
        rank = (theirs.identity, mac)
        if rank == self._rank:
            return ()  # our own frame, come back through a loop in the network
        own = self._notice().role
        if isinstance(self._standing, Passive) and rank == (self._standing.identity, self._standing.mac):
            self._winner_heard = now
        if own is Role.PASSIVE:
            return ()
        if (theirs.role is own and rank < self._rank) or (theirs.role, own) == (Role.ACTIVE, Role.STARTING):
            self._winner_heard = now
            return self._stand(Passive(identity=theirs.identity, mac=mac))
        if theirs.role is not Role.PASSIVE:
            self._insist(now)
        if question is None or (theirs.role, own) == (Role.PASSIVE, Role.STARTING):
            return ()
        return (Answer(notice=self._notice(), question=question),)

    def _insist(self, now: float) -> None:
        """One answer may get lost: while another one wants to serve, we say often that we do."""
        self._contested_until = now + START_SECONDS
        self._next_ask = min(self._next_ask, self._asked + _START_INTERVAL)

    def _stand(self, standing: Standing) -> tuple[Action, ...]:
        self._standing = standing
        return (Stands(standing=standing),)

    def _sight(self, rival: Foreign, now: float) -> None:
        if rival.server in self._own or rival.server in self._kin:
            return
        unseen = Foreign(server=rival.server, mac=_UNSEEN, vendor="")
        if rival != unseen and unseen in self._sightings:
            self._sightings[rival] = self._sightings.pop(unseen)
        sighting = self._sightings.get(rival)
        if sighting is not None:
            sighting.last = now
        elif len(self._sightings) < _MOST:
            self._sightings[rival] = _Sighting(first=now, last=now)
            self._next_ask = min(self._next_ask, max(now, self._asked + _SOONEST))

    def _settled(self, now: float) -> list[tuple[Foreign, _Sighting]]:
        for rival in [rival for rival in self._sightings if rival.server in self._kin]:
            del self._sightings[rival]
        return [(rival, seen) for rival, seen in self._sightings.items() if now >= seen.first + _SETTLE_SECONDS]

    def _decide_start(self, now: float) -> tuple[Action, ...]:
        if not isinstance(self._standing, Starting):
            return ()
        for rival, seen in self._settled(now):
            seen.told = now
            return self._stand(rival)
        if self._sightings or now < self._started + START_SECONDS:
            return ()
        self._next_ask = now
        self._insist(now)
        return self._stand(Active())

    def _tell_seen(self, now: float) -> tuple[Action, ...]:
        if not isinstance(self._standing, Active):
            return ()
        events: list[Action] = []
        for rival, seen in self._settled(now):
            if seen.told is None or now >= seen.told + _REPEAT_SECONDS:
                seen.told = now
                events.append(RivalSeen(rival=rival))
        return tuple(events)

    def _tell_gone(self, now: float) -> tuple[Action, ...]:
        events: list[Action] = []
        for rival, seen in list(self._sightings.items()):
            if now >= seen.last + _GONE_SECONDS:
                del self._sightings[rival]
                events += [RivalGone(rival=rival)] if seen.told is not None else []
        if isinstance(self._standing, Passive) and now >= self._winner_heard + _GONE_SECONDS:
            self._winner_heard = float("inf")
            events.append(RivalGone(rival=self._standing))
        return tuple(events)

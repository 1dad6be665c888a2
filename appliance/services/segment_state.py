"""What is wrong with the boot network itself: other DHCP servers, full pools, floods, addresses in use.

It is what the boot services say now, so it begins anew with them; the timeline keeps what they said.
"""

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from appliance.model.network_views import RivalView
from appliance.model.views import SegmentView
from pxe.dhcp.alarm import Level, PoolAlarm
from pxe.dhcp.conflict import AddressInUse
from pxe.dhcp.flood import FloodAlarm
from pxe.dhcp.rivals import Active, Foreign, RivalEvent, RivalGone, RivalSeen, Standing, Stands, sentence

SegmentEvent = RivalEvent | PoolAlarm | AddressInUse | FloodAlarm


_STANDING = "dhcp-standing"
_RIVAL = "rival-server"
_MOST_RIVALS = 64


class Effect(Enum):
    BEGINS = "begins"
    ENDS = "ends"
    PASSES = "passes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """`subject` tells apart what can be wrong several times over: a server, a network, an address."""

    kind: str
    subject: str
    text: str
    effect: Effect


def told(event: SegmentEvent) -> Told:
    match event:
        case Stands():
            return Told(kind=_STANDING, subject="", text=sentence(event), effect=_effect(event.standing))
        case RivalSeen():
            return _rival(event.rival, event, Effect.BEGINS)
        case RivalGone(rival=Foreign() as rival):
            return _rival(rival, event, Effect.ENDS)
        case RivalGone():
            return Told(kind=_STANDING, subject="", text=sentence(event), effect=Effect.BEGINS)
        case PoolAlarm():
            effect = Effect.ENDS if event.level is Level.NORMAL else Effect.BEGINS
            return Told(kind="pool", subject=str(event.network), text=event.sentence, effect=effect)
        case AddressInUse():
            return Told(kind="address-in-use", subject=str(event.address), text=event.sentence, effect=Effect.PASSES)
        case FloodAlarm():
            return Told(kind="flood", subject=event.reason, text=event.sentence, effect=Effect.PASSES)
        case _:
            assert_never(event)


def _effect(standing: Standing) -> Effect:
    return Effect.ENDS if isinstance(standing, Active) else Effect.BEGINS


def _rival(rival: Foreign, event: RivalEvent, effect: Effect) -> Told:
    return Told(kind=_RIVAL, subject=str(rival.server), text=sentence(event), effect=effect)


class SegmentState:
    """The troubles that go on, each once."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], SegmentView] = {}
        self._rivals: dict[str, RivalView] = {}

    def follow(self, what: Told, now: float) -> None:
        if what.kind == _RIVAL:
            self._meet(what, now)
        key = (what.kind, what.subject)
        match what.effect:
            case Effect.BEGINS:
                since = self._open[key].since if key in self._open else now
                self._open[key] = SegmentView(kind=what.kind, subject=what.subject, text=what.text, since=since)
            case Effect.ENDS:
                self._open.pop(key, None)
            case Effect.PASSES:
                pass
            case _:
                assert_never(what.effect)

    def _meet(self, what: Told, now: float) -> None:
        before = self._rivals.pop(what.subject, None)
        self._rivals[what.subject] = RivalView(
            server=what.subject,
            text=what.text,
            since=before.since if before is not None else now,
            heard=now,
            here=what.effect is Effect.BEGINS,
        )
        while len(self._rivals) > _MOST_RIVALS:
            del self._rivals[next(iter(self._rivals))]

    @property
    def rivals(self) -> tuple[RivalView, ...]:
        """Foreign servers that were heard, the latest last."""
        return tuple(self._rivals.values())

    @property
    def stands_back(self) -> bool:
        """Another server serves, so ours answers nothing."""
        return (_STANDING, "") in self._open

    @property
    def troubles(self) -> tuple[SegmentView, ...]:
        return tuple(self._open.values())

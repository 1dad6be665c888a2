"""Listens to the boot NIC as long as the daemon lives, by a process that is started anew again and again."""

from collections import OrderedDict
from contextlib import aclosing

from appliance.doctor.facts import Wire
from appliance.doctor.looks import program
from appliance.doctor.sighting import Bpdu, Failed, Lacpdu, Listening, Neighbour, parse
from appliance.errors import MachineryError
from appliance.ports import Clock
from images.errors import ToolError
from images.ports import Listening as Processes

ROUND_SECONDS = 600.0
_STARTING_SECONDS = 15.0
_BACK_OFF = 30.0
_MOST = 64

# How long what was heard counts: some of its own periods (2 s, 30 s, 30 s).
_TREE_LASTS, _BOND_LASTS, _NEIGHBOUR_LASTS = 20.0, 95.0, 125.0

_Seen = Bpdu | Lacpdu | Neighbour


class WireWatch:
    """Lives on one event loop. Whoever disconnects and connects again is heard again: there is no state to lose."""

    def __init__(self, device: str, processes: Processes, clock: Clock) -> None:
        self._device, self._processes, self._clock = device, processes, clock
        self._since: float | None = None
        self._problem = "it has not begun yet"
        self._seen: OrderedDict[_Seen, float] = OrderedDict()

    async def run(self) -> None:
        """For ever."""
        while True:
            begun = self._clock.monotonic()
            if not await self._round():
                self._since = None
            if self._since is None or self._clock.monotonic() < begun + _BACK_OFF:
                await self._clock.sleep(_BACK_OFF)

    def facts(self) -> Wire:
        now = self._clock.monotonic()
        if self._since is None:
            return Wire(problem=self._problem)
        seen = [one for one, at in reversed(self._seen.items()) if now < at + _lasts(one)]
        return Wire(
            listened=now - self._since,
            bpdus=tuple(one for one in seen if isinstance(one, Bpdu)),
            lacpdus=tuple(one for one in seen if isinstance(one, Lacpdu)),
            neighbours=tuple(one for one in seen if isinstance(one, Neighbour)),
        )

    async def _round(self) -> bool:
        """Whether it ended as it should."""
        argv = program("observe", self._device, str(ROUND_SECONDS))
        ended_well, self._problem = False, "what listens ended by itself"
        try:
            async with aclosing(self._processes.lines(argv, seconds=ROUND_SECONDS + _STARTING_SECONDS)) as lines:
                async for line in lines:
                    ended_well = self._hear(line)
        except (ToolError, MachineryError) as error:
            self._problem, ended_well = f"{error}; {error.evidence}", False
        return ended_well

    def _hear(self, line: bytes) -> bool:
        """Whether all is well; raises `MachineryError` for what is no sighting."""
        now = self._clock.monotonic()
        match parse(line):
            case Listening():
                self._since = now if self._since is None else self._since
            case Failed(problem=problem):
                self._problem = problem
                return False
            case Bpdu() | Lacpdu() | Neighbour() as seen:
                self._seen[seen] = now
                self._seen.move_to_end(seen)
                if len(self._seen) > _MOST:
                    self._seen.popitem(last=False)
            case other:
                raise MachineryError("the observer speaks of something else", evidence=other.kind)
        return True


def _lasts(seen: _Seen) -> float:
    match seen:
        case Bpdu():
            return _TREE_LASTS
        case Lacpdu():
            return _BOND_LASTS
        case Neighbour():
            return _NEIGHBOUR_LASTS

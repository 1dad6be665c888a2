"""What can go wrong, as tables; and the scenario that a seed draws from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address

from appliance.sim.chance import Chance, Stream
from appliance.sim.journal import FSYNC_SECONDS, Boundary, Loss
from appliance.sim.network import Span, Weather

Range = tuple[float, float]


class MachineFault(Enum):
    NONE = "none"
    SLOW_POST = "its firmware takes minutes before the first packet"
    IGNORES_OVERRIDE = "its firmware boots the disk whatever it is told once"
    FORGETS_OVERRIDE = "its BMC takes a one-time boot and forgets it"
    PXE_DEAD = "its switch port passes nothing for a while"
    NIC_ORDER = "it boots from its second NIC, and its NICs change names"
    AGENT_CRASH = "the agent's process ends in the middle of a write"
    AGENT_SILENT = "the agent says nothing for minutes while it works"
    POWER_CUT = "it loses power in the middle of a write"
    DISK_DIES = "its disk breaks in the middle of a write"
    FOREIGN_DATA = "its disk holds something else when it is to be written"
    DISK_SWAPPED = "another disk is in it when it is to be written"
    BMC_SILENT = "its BMC answers nothing for a while"
    BMC_HUNG = "its BMC takes a minute for each answer"
    BMC_LIES = "its BMC shows the opposite power state"
    ANSWERS_LOST = "its BMC does what it is told, and the answer gets lost"
    BMC_REFUSES = "its BMC refuses everything for a while"
    DUPLICATE = "its UUID and serial number are those of another machine"


class Injected(Enum):
    """What no machine gets over by itself: put in by whoever asks for it, drawn by no seed."""

    NETWORK_ONLY = "its firmware knows no disk to boot from"
    DISK_ONLY = "its firmware boots its disk, whatever it is told"
    DAMAGED_IMAGE = "a block of the image comes damaged, each time"
    SHARED_MAC = "its first MAC is that of the next machine too"
    SMALL_DISKS = "its disks are smaller than the image"
    NO_LINK = "the NIC that its network is stated on has no link"


class SiteFault(Enum):
    LOSS = "packets are lost, doubled and delayed"
    PARTITION = "the appliance cannot reach the rack for minutes"
    KILLED = "the appliance is killed at any moment"
    KILLED_AT_RECORD = "the appliance is killed just before or after a commit"
    POWER_LOSS = "the appliance loses power"
    SLOW_FSYNC = "its disk takes seconds to flush"
    DISK_FULL = "its disk is full for a while"
    HOLD = "an operator holds a machine, and releases it later"
    TWO_OPERATORS = "two operators apply the same plan at once"
    STALE_PLAN = "an operator applies an old plan"
    RUN_PAUSED = "an operator pauses a run, and lets it go on later"
    RUN_CANCELLED = "an operator cancels a run in the middle, and provisions again"
    SET_ASIDE = "an operator takes a machine out of a run, and tries it again later"


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """Ranges to draw from: `begins` and `seconds` of a fault that lasts, `fraction` of a write that it meets,
    `times` that it happens; `weight` is how often the fault is drawn."""

    begins: Range = (0.0, 0.0)
    seconds: Range = (0.0, 0.0)
    fraction: Range = (0.0, 1.0)
    times: tuple[int, int] = (1, 1)
    weight: int = 2


HABITS: Mapping[MachineFault, Habit] = {
    MachineFault.NONE: Habit(weight=14),
    MachineFault.SLOW_POST: Habit(seconds=(150.0, 600.0)),
    MachineFault.IGNORES_OVERRIDE: Habit(times=(1, 2)),
    MachineFault.FORGETS_OVERRIDE: Habit(times=(1, 3)),
    MachineFault.PXE_DEAD: Habit(begins=(0.0, 200.0), seconds=(60.0, 1500.0)),
    MachineFault.NIC_ORDER: Habit(),
    MachineFault.AGENT_CRASH: Habit(times=(1, 3)),
    MachineFault.AGENT_SILENT: Habit(seconds=(20.0, 400.0)),
    MachineFault.POWER_CUT: Habit(times=(1, 2), weight=4),
    MachineFault.DISK_DIES: Habit(),
    MachineFault.FOREIGN_DATA: Habit(),
    MachineFault.DISK_SWAPPED: Habit(),
    MachineFault.BMC_SILENT: Habit(begins=(0.0, 300.0), seconds=(30.0, 900.0)),
    MachineFault.BMC_HUNG: Habit(begins=(0.0, 300.0), seconds=(60.0, 900.0)),
    MachineFault.BMC_LIES: Habit(begins=(0.0, 300.0), seconds=(60.0, 1500.0)),
    MachineFault.ANSWERS_LOST: Habit(begins=(0.0, 100.0), seconds=(200.0, 1500.0)),
    MachineFault.BMC_REFUSES: Habit(begins=(0.0, 300.0), seconds=(30.0, 900.0)),
    MachineFault.DUPLICATE: Habit(weight=1),
}
_OFTEN = 0.2
"""The chance of each fault of the site."""

_KINDS = tuple(fault for fault, habit in HABITS.items() for _ in range(habit.weight))


@dataclass(frozen=True, slots=True, kw_only=True)
class Character:
    """One machine. All times in virtual seconds; `begins` and `seconds` mean what the fault makes of them.

    `block` is the time of one operation on its disk. `foreign`: its disk holds another system at the start.
    """

    fault: MachineFault = MachineFault.NONE
    begins: float = 0.0
    seconds: float = 0.0
    fraction: float = 0.0
    times: int = 0
    post: float = 20.0
    ramdisk: float = 15.0
    system: float = 25.0
    block: float = 1.5
    bmc: float = 0.4
    is_on: bool = False
    foreign: bool = False
    uefi: bool = True
    network_first: bool = False
    injected: Injected | None = None

    @property
    def is_double(self) -> bool:
        """It shows something of another machine."""
        return self.fault is MachineFault.DUPLICATE or self.injected is Injected.SHARED_MAC

    def span(self, *faults: MachineFault) -> tuple[Span, ...]:
        """When one of these faults lasts, if it is this machine's."""
        return ((self.begins, self.begins + self.seconds),) if self.fault in faults else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Of the appliance. At `at`, or at the boundary of that commit of its present life; back after `away` seconds."""

    away: float
    loss: Loss
    at: float | None = None
    commit: int = 0
    boundary: Boundary = Boundary.BEFORE


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    machine: int
    begins: float
    seconds: float


class Steer(Enum):
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    SET_ASIDE = "set-aside"
    RETRY = "retry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """What an operator does to the runs that go on at that moment; `machine` is a number."""

    what: Steer
    at: float
    machine: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rogue:
    """Somebody else's DHCP server on the boot network, `begins` seconds after the start."""

    server: IPv4Address
    begins: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """`characters` by the machines' numbers, the first is 1."""

    characters: Mapping[int, Character]
    faults: tuple[SiteFault, ...] = ()
    weather: Weather = field(default_factory=Weather)
    deaths: tuple[Death, ...] = ()
    full: tuple[Span, ...] = ()
    slow: tuple[Span, ...] = ()
    fsync_seconds: float = FSYNC_SECONDS
    holds: tuple[Hold, ...] = ()
    steering: tuple[Steering, ...] = ()
    rogue: Rogue | None = None

    def last_planned(self) -> float:
        """When the last fault that has its time is over."""
        spans = [*self.weather.partitions, *self.full, *self.slow]
        ends = [end for _, end in spans] + [hold.begins + hold.seconds for hold in self.holds] + [self.weather.until]
        ends += [steering.at for steering in self.steering]
        ends += [death.at + death.away for death in self.deaths if death.at is not None]
        ends += [character.begins + character.seconds for character in self.characters.values()]
        return max(ends, default=0.0)


class Faults(Enum):
    ALL = "all"
    NONE = "none"


def draw(chance: Chance, machines: int, faults: Faults) -> Scenario:
    characters = {number: _character(chance, number, faults) for number in range(1, machines + 1)}
    if faults is Faults.NONE:
        return Scenario(characters=characters)
    return _site(chance.stream("faults", "site"), machines, characters)


def _character(chance: Chance, number: int, faults: Faults) -> Character:
    stream = chance.stream("machine", str(number))
    fault = chance.stream("faults", str(number)).one_of(_KINDS) if faults is Faults.ALL else MachineFault.NONE
    habit = HABITS[fault]
    post = stream.between(15.0, 90.0)
    return Character(
        fault=fault,
        begins=stream.between(*habit.begins),
        seconds=stream.between(*habit.seconds),
        fraction=stream.between(*habit.fraction),
        times=stream.number(*habit.times),
        post=post + (stream.between(*habit.seconds) if fault is MachineFault.SLOW_POST else 0.0),
        ramdisk=stream.between(10.0, 25.0),
        system=stream.between(15.0, 60.0),
        block=stream.between(0.3, 4.0),
        bmc=stream.between(0.05, 2.0),
        is_on=faults is Faults.ALL and stream.happens(0.25),
        foreign=stream.happens(0.2),
        uefi=stream.happens(0.6),
        network_first=stream.happens(0.3),
    )


def _site(stream: Stream, machines: int, characters: Mapping[int, Character]) -> Scenario:
    drawn = tuple(fault for fault in SiteFault if stream.happens(_OFTEN))
    begins = [stream.between(5.0, 900.0) for _ in range(4)]
    return Scenario(
        characters=characters,
        faults=drawn,
        weather=Weather(
            lost=stream.between(0.0, 0.15) if SiteFault.LOSS in drawn else 0.0,
            twice=stream.between(0.0, 0.1) if SiteFault.LOSS in drawn else 0.0,
            late=stream.between(0.0, 0.05) if SiteFault.LOSS in drawn else 0.0,
            until=stream.between(200.0, 1500.0) if SiteFault.LOSS in drawn else 0.0,
            partitions=_span(stream, begins[0], (20.0, 600.0)) if SiteFault.PARTITION in drawn else (),
        ),
        deaths=tuple(_deaths(stream, drawn)),
        full=_span(stream, begins[1], (5.0, 120.0)) if SiteFault.DISK_FULL in drawn else (),
        slow=_span(stream, begins[2], (60.0, 600.0)) if SiteFault.SLOW_FSYNC in drawn else (),
        fsync_seconds=stream.between(0.5, 3.0),
        holds=(_hold(stream, machines, begins[3]),) if SiteFault.HOLD in drawn else (),
        steering=_steering(stream, drawn, machines),
    )


def _span(stream: Stream, begins: float, seconds: Range) -> tuple[Span, ...]:
    return ((begins, begins + stream.between(*seconds)),)


def _hold(stream: Stream, machines: int, begins: float) -> Hold:
    return Hold(machine=stream.number(1, machines), begins=begins, seconds=stream.between(30.0, 1200.0))


def _steering(stream: Stream, drawn: tuple[SiteFault, ...], machines: int) -> tuple[Steering, ...]:
    at, later, machine = stream.between(20.0, 500.0), stream.between(20.0, 400.0), stream.number(1, machines)
    steering: list[Steering] = []
    if SiteFault.RUN_PAUSED in drawn:
        steering += [Steering(what=Steer.PAUSE, at=at), Steering(what=Steer.RESUME, at=at + later)]
    if SiteFault.RUN_CANCELLED in drawn:
        steering.append(Steering(what=Steer.CANCEL, at=later))
    if SiteFault.SET_ASIDE in drawn:
        steering.append(Steering(what=Steer.SET_ASIDE, at=at / 2, machine=machine))
        steering.append(Steering(what=Steer.RETRY, at=at / 2 + later, machine=machine))
    return tuple(steering)


def _deaths(stream: Stream, drawn: tuple[SiteFault, ...]) -> list[Death]:
    deaths: list[Death] = []
    if SiteFault.KILLED in drawn:
        deaths += [_death(stream, (Loss.NOT_WRITTEN, Loss.WRITTEN)) for _ in range(stream.number(1, 3))]
    if SiteFault.POWER_LOSS in drawn:
        deaths.append(_death(stream, tuple(Loss)))
    deaths.sort(key=lambda death: death.at or 0.0)
    if SiteFault.KILLED_AT_RECORD in drawn:
        deaths += [_death_at_record(stream) for _ in range(stream.number(1, 4))]
    return deaths


def _death(stream: Stream, losses: tuple[Loss, ...]) -> Death:
    return Death(at=stream.between(1.0, 1200.0), away=stream.between(2.0, 90.0), loss=stream.one_of(losses))


def _death_at_record(stream: Stream) -> Death:
    return Death(
        commit=stream.number(2, 60),
        boundary=stream.one_of(tuple(Boundary)),
        away=stream.between(2.0, 90.0),
        loss=Loss.NOT_WRITTEN,
    )

"""How long steps take together: what needs what, one step at a time on each machine, the canary, the limits. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace, nlargest

from appliance.model.ids import MachineName, StepId
from appliance.model.rollout import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A step that is still to be done, and how many seconds it takes from now on."""

    id: StepId
    machine: MachineName
    seconds: float
    needs: tuple[StepId, ...] = ()


def together(work: Sequence[Work], rollout: Rollout, entered: Collection[MachineName] = ()) -> float:
    """Seconds until all of `work` is done, which stands in an order where needs come first, as in plans.

    `entered` are machines that are under way already. Never less than the longest chain of needs, and never less
    because a step takes longer: machines are let in by how long their own steps take, not by what these wait for.
    """
    free = _entries(work, rollout, entered)
    done: dict[StepId, float] = {}
    for one in work:
        begins = max((free[one.machine], *(done.get(need, 0.0) for need in one.needs)))
        done[one.id] = free[one.machine] = begins + one.seconds
    return max(done.values(), default=0.0)


def _entries(work: Sequence[Work], rollout: Rollout, entered: Collection[MachineName]) -> dict[MachineName, float]:
    """When each machine is let in: at once, behind the canary, or as others make room (`conductor.position`)."""
    own: dict[MachineName, float] = {}
    for one in work:
        own[one.machine] = own.get(one.machine, 0.0) + one.seconds
    first = [name for name in rollout.canary if name in own]
    inside = [name for name in own if name in entered and name not in first]
    clear = max((own[name] for name in first), default=0.0)
    slots = rollout.at_once or len(own)
    room = nlargest(slots, (max(clear, own[name]) for name in inside))
    room += [clear] * (slots - len(room))
    heapify(room)
    entries = dict.fromkeys((*first, *inside), 0.0)
    for name in own:
        if name not in entries:
            entries[name] = room[0]
            heapreplace(room, room[0] + own[name])
    return entries

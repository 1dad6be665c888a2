"""Ports of switches and networks of machines change together: each side can go back by itself, and one word decides.

The order of a change, and what is left where the appliance dies after it:

    machine  new network, undecided       goes back at its deadline: no LACP is heard
    switch   channel, with a timer        both go back: the switch when its timer ends, the machine after it
    switch   confirmed                    both are new: the machine hears LACP at its deadline, and keeps
    machine  keeps                        both are new
"""

import asyncio
from collections.abc import Mapping
from ipaddress import IPv4Address
from typing import Protocol

from appliance.conductor.decision import ClusterSight, Progress
from appliance.errors import InnervateError, PlanError, ShellError, UnreachableError
from appliance.model.ids import MachineName
from appliance.model.secret import Secret
from appliance.model.switch import BondPorts, Switch
from appliance.nodes import bonding
from appliance.nodes.job import Job
from appliance.ports import Clock
from appliance.services.cluster_hold import at_work, done, failed, not_begun
from appliance.store.records import Problem
from appliance.switch import dialect as dialects
from appliance.switch import standing as standings
from appliance.switch.standing import HostSide, HostSight, Standing, SwitchSide

_EVERY, _JOB_SECONDS = 0.5, 60.0
_SLACK = 0.25
"""Of the switch's timer: what is left of the machine's deadline when the switch is told, beyond that timer."""


class Machines(Protocol):
    """Raises `InnervateError`; `UnreachableError` while the machine may still come up."""

    async def job(self, machine: MachineName, job: Job) -> ClusterSight: ...

    async def start(self, machine: MachineName, job: Job) -> str: ...

    async def feed(self, machine: MachineName, argv: tuple[str, ...], text: Secret) -> str: ...

    def address(self, machine: MachineName) -> IPv4Address: ...


class SwitchShells(Protocol):
    def ask(self, switch: Switch, commands: tuple[str, ...]) -> tuple[str, ...]:
        """What each command printed. Raises `UnreachableError` and `ShellError`. May block."""
        ...


class PortDesk:
    """`switches` are those of the topology, by name."""

    def __init__(self, switches: Mapping[str, Switch], shells: SwitchShells, machines: Machines, clock: Clock) -> None:
        self._switches, self._shells, self._machines, self._clock = switches, shells, machines, clock
        self._works: dict[MachineName, asyncio.Task[None]] = {}
        self._words: dict[MachineName, str] = {}

    async def look(self, machine: MachineName, do: BondPorts) -> ClusterSight:
        work = self._works.get(machine)
        if work is not None and not work.done():
            return at_work(self._words.get(machine, "beginning"))
        host, switch = await self._host(machine, do), await self._side(do)
        match standings.standing(host, switch):
            case Standing.DONE:
                return done("bonded", self._evidence(host, do))
            case Standing.DECIDING:
                return at_work(f"{machine} and {do.switch} decide by themselves whether they keep the change")
            case Standing.FOREIGN:
                return failed(_foreign(do))
            case Standing.NOT_BEGUN | Standing.TORN:
                return self._over(machine, host)

    async def begin(self, machine: MachineName, do: BondPorts) -> str:
        if (work := self._works.get(machine)) is None or work.done():
            self._works[machine] = asyncio.create_task(self._change(machine, do))
            self._works[machine].add_done_callback(_heard)
        return "begun"

    def _over(self, machine: MachineName, host: HostSight) -> ClusterSight:
        """Why the last change came to nothing; said once."""
        if (work := self._works.pop(machine, None)) is None or work.cancelled() or (error := work.exception()) is None:
            return not_begun(f"{machine} has single ports")
        if not isinstance(error, InnervateError):
            raise error
        return failed(
            Problem(
                code=error.code,
                message=f"{error}: both sides are as they were",
                evidence=error.evidence or host.why,
                next_action=error.next_action,
            )
        )

    async def _change(self, machine: MachineName, do: BondPorts) -> None:
        side = await self._side(do)
        if side is SwitchSide.CHANNEL:
            self._say(machine, f"{do.switch} goes back first: it has the channel, and {machine} has not")
            await self._tell(do, dialects.separate(self._dialect(do), do))
        elif side is not SwitchSide.ACCESS:
            raise _error(_foreign(do))
        began = self._clock.monotonic()
        await self._apply(machine, do)
        left = bonding.deadline(do) - (self._clock.monotonic() - began)
        if left < do.seconds * (1 + _SLACK):
            raise ShellError(
                f"{machine} took too long to make {do.bond}: {do.switch} was told nothing",
                evidence=f"{left:.0f} s of its deadline are left",
                next_action="plan again with more seconds",
            )
        self._say(machine, f"{do.switch} makes a channel of {', '.join(do.ports)}")
        await self._tell(do, dialects.join(self._dialect(do), do))
        if not await self._answers(machine, do):
            await self._back(machine, do)
            raise ShellError(
                f"{machine} does not answer over {do.bond}",
                evidence=f"not all of {', '.join(do.ports)} were in one channel after {do.seconds // 2} s",
                next_action="look at the cables and at the ports' LACP; then plan again",
            )
        await self._tell(do, (dialects.confirm(self._dialect(do), do),))
        await self._machines.feed(machine, bonding.keep(do), Secret(""))

    async def _apply(self, machine: MachineName, do: BondPorts) -> None:
        """Until it has the new network, undecided."""
        job = bonding.apply(do, machine)
        self._say(machine, f"{machine} makes {do.bond}")
        await self._machines.start(machine, job)
        ends = self._clock.monotonic() + _JOB_SECONDS
        while self._clock.monotonic() < ends:
            try:
                if (await self._host(machine, do)).side is HostSide.UNDECIDED:
                    return
                sight = await self._machines.job(machine, job)
                if sight.progress is Progress.FAILED:
                    raise ShellError(sight.words, evidence=sight.problem.evidence if sight.problem else "")
            except UnreachableError:
                pass
            await self._clock.sleep(_EVERY)
        raise ShellError(
            f"{machine} does not make {do.bond}", next_action="read its journal: journalctl -u innervate-*"
        )

    async def _answers(self, machine: MachineName, do: BondPorts) -> bool:
        """By SSH over the bond itself, and by LACP on every port. Half of the timer: the rest is to confirm."""
        self._say(machine, f"{machine} has to answer over {do.bond}")
        ends = self._clock.monotonic() + do.seconds / 2
        while self._clock.monotonic() < ends:
            try:
                if standings.answers(await self._host(machine, do), do):
                    return True
            except UnreachableError:
                pass
            await self._clock.sleep(_EVERY)
        return False

    async def _back(self, machine: MachineName, do: BondPorts) -> None:
        """The switch at once; the machine when it can be told, else at its deadline."""
        self._say(machine, f"{do.switch} and {machine} go back")
        await self._tell(do, (dialects.abort(self._dialect(do), do),))
        ends = self._clock.monotonic() + _FALLS * do.seconds
        while self._clock.monotonic() < ends:
            try:
                host = await self._host(machine, do)
                if host.side is not HostSide.UNDECIDED:
                    return
                if not standings.answers(host, do):  # until it has noticed, it would keep what is gone
                    await self._machines.feed(machine, bonding.go_back(do), Secret(""))
            except UnreachableError:
                pass
            await self._clock.sleep(_EVERY)

    async def _host(self, machine: MachineName, do: BondPorts) -> HostSight:
        return standings.read_host(await self._machines.feed(machine, bonding.look(do), Secret("")))

    async def _side(self, do: BondPorts) -> SwitchSide:
        dialect = self._dialect(do)
        return standings.read_switch(dialect, do, await self._tell(do, dialects.show(dialect, do)))

    async def _tell(self, do: BondPorts, commands: tuple[str, ...]) -> tuple[str, ...]:
        return await asyncio.to_thread(self._shells.ask, self._switch(do), commands)

    def _dialect(self, do: BondPorts) -> dialects.Dialect:
        return dialects.dialect_of(self._switch(do).dialect)

    def _switch(self, do: BondPorts) -> Switch:
        if (found := self._switches.get(do.switch)) is None:
            raise PlanError(
                f"the site program states no switch {do.switch}",
                evidence=f"stated: {', '.join(sorted(self._switches)) or 'none'}",
                next_action="state it in the topology's switches, and plan again",
            )
        return found

    def _say(self, machine: MachineName, words: str) -> None:
        self._words[machine] = words

    def _evidence(self, host: HostSight, do: BondPorts) -> Mapping[str, str]:
        channel = f"{do.channel} of {', '.join(do.ports)}"
        return {"switch": do.switch, "channel": channel, "bond": do.bond, "hears": host.partner or "nobody now"}


def _heard(work: asyncio.Task[None]) -> None:
    """Whoever looks next asks for it; and where nobody does, both sides have decided by themselves."""
    if not work.cancelled():
        work.exception()


_FALLS = 2.5
"""Of the switch's timer: by then the machine has decided by itself."""


def _foreign(do: BondPorts) -> Problem:
    return Problem(
        code="shell",
        message=f"{do.switch} has another configuration on {', '.join(do.ports)} than this step knows",
        evidence=f"they are neither access ports of VLAN {do.vlan} nor the channel {do.channel}",
        next_action="make them access ports of that VLAN by hand; nothing was changed",
    )


def _error(problem: Problem) -> ShellError:
    return ShellError(problem.message, evidence=problem.evidence, next_action=problem.next_action)

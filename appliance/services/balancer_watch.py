"""The last that the balancer said of its backends, so that whoever shows them waits for no socket."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from appliance.balancer.state import BackendState
from appliance.errors import InnervateError
from appliance.model.balancer import Listener
from appliance.model.cluster import ClusterName
from appliance.model.cluster_views import BackendView, ClusterBalancerView
from appliance.model.text import clean
from appliance.ports import Clock

_EVERY = 5.0
_SHORT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerLook:
    """`states` are as of `looked` (seconds since the epoch); `trouble` is why the last look found nothing out."""

    looked: float | None = None
    states: tuple[BackendState, ...] = ()
    trouble: str = ""


class Balancer(Protocol):
    def wanted_by(self, cluster: str) -> tuple[Listener, ...]: ...

    async def states(self) -> tuple[BackendState, ...]:
        """Raises `InnervateError`."""
        ...


class BalancerWatch:
    def __init__(self, desk: Balancer, clock: Clock) -> None:
        self._desk, self._clock = desk, clock
        self.last = BalancerLook()

    async def run(self) -> None:
        """Forever."""
        while True:
            await self.look()
            await self._clock.sleep(_EVERY)

    async def look(self) -> None:
        try:
            states = await self._desk.states()
        except InnervateError as error:
            self.last = replace(self.last, trouble=clean(f"{error}: {error.evidence}", _SHORT))
        else:
            self.last = BalancerLook(looked=self._clock.now(), states=states)

    def view(self, cluster: ClusterName) -> ClusterBalancerView | None:
        """None where it leads nowhere for this cluster."""
        names = {listener.name for listener in self._desk.wanted_by(cluster)}
        if not names:
            return None
        last = self.last
        return ClusterBalancerView(
            looked=last.looked, trouble=last.trouble, backends=tuple(_backends(last.states, names))
        )


def _backends(states: Iterable[BackendState], listeners: set[str]) -> Iterable[BackendView]:
    for one in states:
        if one.listener in listeners:
            yield BackendView(
                listener=one.listener,
                name=one.backend,
                address=str(one.address),
                port=one.port,
                well=one.well,
                out=one.out,
            )

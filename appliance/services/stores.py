"""What people and programs can ask of images, networks and addresses."""

from collections.abc import Callable, Sequence

from appliance.conductor.memory import Memory
from appliance.errors import NotFoundError
from appliance.model.ids import MachineName
from appliance.model.image_views import ImagesView, ImageView
from appliance.model.network_views import HistoryView, LeasesView, NetworksView
from appliance.model.orders import Trace
from appliance.model.paging import EVERY_LEASE, LeasesQuery, leases_page
from appliance.ports import Clock
from appliance.services.networks import Known, addresses, boot_networks
from appliance.services.segment_state import SegmentState
from appliance.services.shelf import Shelf
from appliance.services.stock import content_of
from appliance.topology import Rack
from pxe.dhcp.leases import Lease


def _no_history() -> HistoryView:
    return HistoryView(step=0.0)


class StoreDesk:
    """Implements `appliance.api.common.Stores`."""

    def __init__(
        self,
        rack: Rack,
        memory: Memory,
        segment: SegmentState,
        clock: Clock,
        *,
        shelf: Shelf | None = None,
        leases: Callable[[], Sequence[Lease]] = tuple,
        history: Callable[[], HistoryView] = _no_history,
    ) -> None:
        self._rack, self._memory, self._segment, self._clock = rack, memory, segment, clock
        self._shelf, self._leases, self._history = shelf, leases, history

    async def images(self) -> ImagesView:
        return await self._stocked().images(self._users(), self._clock.now())

    async def image(self, name: str) -> ImageView:
        return await self._stocked().image(name, self._users(), self._clock.now())

    def networks(self) -> NetworksView:
        return NetworksView(
            networks=boot_networks(self._rack, self._known(), self._clock.now()),
            serves=not self._segment.stands_back,
            troubles=self._segment.troubles,
            rivals=self._segment.rivals,
        )

    def leases(self, query: LeasesQuery = EVERY_LEASE) -> LeasesView:
        return leases_page(addresses(self._rack, self._known(), self._clock.now()), query)

    def history(self) -> HistoryView:
        return self._history()

    def _stocked(self) -> Shelf:
        if self._shelf is None:
            raise NotFoundError("this appliance has no artefact store", next_action="name one: images_dir")
        return self._shelf

    def _users(self) -> dict[str, list[MachineName]]:
        users: dict[str, list[MachineName]] = {}
        for name in self._rack.machines:
            if (installed := self._memory.world.machine(name).installed) is not None:
                users.setdefault(content_of(installed.image), []).append(name)
        return users

    def _known(self) -> Known:
        owners: dict[bytes, MachineName] = {}
        gone: set[MachineName] = set()
        for server in self._rack.servers:
            state = self._memory.world.machine(server.name)
            read = state.identity.macs if state.identity is not None else ()
            for mac in (server.mac, *read):
                if mac is not None:
                    owners.setdefault(bytes(mac), server.name)
            if Trace.LEASE in state.forgotten:
                gone.add(server.name)
        return Known(leases=self._leases(), owners=owners, without=frozenset(gone))

"""Images, networks and addresses in memory: what was put in."""

from dataclasses import dataclass, field

from appliance.errors import NotFoundError
from appliance.model.image_views import ImagesView, ImageView
from appliance.model.network_views import HistoryView, LeasesView, LeaseView, NetworksView
from appliance.model.paging import EVERY_LEASE, LeasesQuery, leases_page


@dataclass(kw_only=True)
class FakeStores:
    """`addresses` in their order."""

    shelf: list[ImageView] = field(default_factory=list)
    network: NetworksView = field(default_factory=lambda: NetworksView(networks=()))
    addresses: list[LeaseView] = field(default_factory=list)
    past: HistoryView = field(default_factory=lambda: HistoryView(step=10.0))

    async def images(self) -> ImagesView:
        return ImagesView(images=tuple(self.shelf), free_bytes=64 << 30)

    async def image(self, name: str) -> ImageView:
        for image in self.shelf:
            if name in (image.name, image.version):
                return image
        raise NotFoundError(f"no image is called {name[:70]}", next_action="list what there is")

    def networks(self) -> NetworksView:
        return self.network

    def leases(self, query: LeasesQuery = EVERY_LEASE) -> LeasesView:
        return leases_page(self.addresses, query)

    def history(self) -> HistoryView:
        return self.past

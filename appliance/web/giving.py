"""The pages of what the appliance has to give: images, and networks with their addresses."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from appliance.api.common import Stores
from appliance.errors import UsageError
from appliance.model.network_views import AddressState, LeasesView, NetworksView
from appliance.model.paging import LeasesQuery
from appliance.web.lines import pool_use, traffic
from appliance.web.render import render

ROWS = 250
_LONGEST = 18
Parts = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which addresses are shown: of one network, in one state, or all; and not only the first `ROWS`."""

    network: str = ""
    state: AddressState | None = None
    everything: bool = False

    @classmethod
    def parse(cls, text: str) -> "Chosen":
        """Of a query string. Raises `UsageError`."""
        given = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=8))
        try:
            state = AddressState(given["state"]) if given.get("state") else None
        except ValueError:
            known = ", ".join(one.value for one in AddressState)
            raise UsageError("no address is in that state", evidence=given["state"][:70], next_action=known) from None
        return cls(network=given.get("network", "")[:_LONGEST], state=state, everything="all" in given)

    @property
    def text(self) -> str:
        """What `parse` makes this of."""
        given = {"network": self.network, "state": self.state.value if self.state else ""}
        return urlencode({**given, **({"all": ""} if self.everything else {})})

    def query(self) -> LeasesQuery:
        return LeasesQuery(network=self.network, state=self.state, limit=None if self.everything else ROWS)


class Giving:
    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    async def images(self) -> Parts:
        return {"images": render("_images", view=await self._stores.images())}

    async def networks(self, view: NetworksView, leases: LeasesView, now: float) -> Parts:
        """All parts of their page. Of many addresses the rows are drawn beside the loop."""
        rows = await asyncio.to_thread(_addresses, leases, now)
        return {**_networks(view, now), **self._measured(view), **rows}

    def now(self, now: float) -> Parts:
        return _networks(self._stores.networks(), now)

    def measured(self, chosen: Chosen, now: float) -> Parts:
        leases = self._stores.leases(chosen.query())
        return {**self._measured(self._stores.networks()), **_addresses(leases, now)}

    def _measured(self, view: NetworksView) -> Parts:
        history = self._stores.history()
        use = render("_chart", id="pool-use", chart=pool_use(history, view.networks))
        return {"pool-use": use, "traffic": render("_chart", id="traffic", chart=traffic(history))}


def _networks(view: NetworksView, now: float) -> Parts:
    return {"networks": render("_networks", view=view, now=now)}


def _addresses(view: LeasesView, now: float) -> Parts:
    rows = "".join(render("_lease", lease=lease, now=now) for lease in view.leases)
    return {"leases": rows, "count": render("_count", view=view)}

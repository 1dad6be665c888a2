"""The pages of what the appliance has to give: images, and networks with their addresses."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from appliance.api.common import Stores
from appliance.errors import UsageError
from appliance.model.network_views import AddressState, LeasesView
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

    async def networks(self, chosen: Chosen, now: float) -> Parts:
        view = self._stores.leases(chosen.query())
        leases = await asyncio.to_thread(_leases, view, now)
        return {**self.now(now), **self.measured(), "leases": leases, "count": render("_count", view=view)}

    def now(self, now: float) -> Parts:
        return {"networks": render("_networks", view=self._stores.networks(), now=now)}

    def measured(self) -> Parts:
        history, networks = self._stores.history(), self._stores.networks().networks
        use = render("_chart", id="pool-use", chart=pool_use(history, networks))
        return {"pool-use": use, "traffic": render("_chart", id="traffic", chart=traffic(history))}

    def addresses(self, chosen: Chosen, now: float) -> Parts:
        view = self._stores.leases(chosen.query())
        return {"leases": _leases(view, now), "count": render("_count", view=view)}


def _leases(view: LeasesView, now: float) -> str:
    return "".join(render("_lease", lease=lease, now=now) for lease in view.leases)

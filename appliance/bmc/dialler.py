"""Dials BMCs by what their URL says that they speak."""

from urllib.parse import urlsplit

from appliance.bmc.codec.text import clean
from appliance.bmc.ipmi.driver import IpmiDialler
from appliance.bmc.port import FullBmc
from appliance.bmc.redfish import RedfishDialler
from appliance.errors import BmcError
from appliance.model.bmc import BmcEndpoint
from appliance.ports import Clock, Rng


class Dialler:
    """Implements `appliance.bmc.port.BmcDialler`."""

    def __init__(self, clock: Clock, rng: Rng) -> None:
        self._redfish, self._ipmi = RedfishDialler(clock), IpmiDialler(clock, rng)

    def dial(self, endpoint: BmcEndpoint) -> FullBmc:
        match urlsplit(endpoint.url).scheme:
            case "ipmi":
                return self._ipmi.dial(endpoint)
            case "https":
                return self._redfish.dial(endpoint)
            case other:
                seen = f"its scheme is {clean(other)!r}"
                raise BmcError("no driver for this BMC", evidence=seen, next_action="write https:// or ipmi://")

    async def close(self) -> None:
        try:
            await self._redfish.close()
        finally:
            await self._ipmi.close()

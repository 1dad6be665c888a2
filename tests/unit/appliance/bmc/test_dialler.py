"""The scheme of a BMC's URL chooses its driver."""

import asyncio

import pytest

from appliance.bmc.dialler import Dialler
from appliance.bmc.ipmi.driver import IpmiBmc
from appliance.bmc.redfish import RedfishBmc
from appliance.errors import BmcError
from appliance.model.bmc import BmcEndpoint
from appliance.model.secret import Secret
from appliance.system import SystemClock, SystemRng

FINGERPRINT = "ab" * 32


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("ipmi://10.0.0.9", IpmiBmc),
        ("ipmi://10.0.0.9:6230", IpmiBmc),
        ("https://10.0.0.9", RedfishBmc),
    ],
)
def test_scheme_chooses_the_driver(url: str, driver: type) -> None:
    endpoint = BmcEndpoint(url=url, user="root", password=Secret("x"), fingerprint=FINGERPRINT)

    async def dialled() -> tuple[type, bool]:
        dialler = Dialler(SystemClock(), SystemRng())
        try:
            return type(dialler.dial(endpoint)), dialler.dial(endpoint) is dialler.dial(endpoint)
        finally:
            await dialler.close()

    assert asyncio.run(dialled()) == (driver, True)


@pytest.mark.parametrize("url", ["gopher://10.0.0.9", "ipmi://", "ipmi://10.0.0.9/path"])
def test_url_that_no_driver_takes_is_refused(url: str) -> None:
    endpoint = BmcEndpoint(url=url, user="root", password=Secret("x"), fingerprint=FINGERPRINT)
    with pytest.raises(BmcError):
        Dialler(SystemClock(), SystemRng()).dial(endpoint)

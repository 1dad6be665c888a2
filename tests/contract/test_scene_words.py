"""What the simulated rack says of a dead BMC is what the driver says of a port that takes connections and no more."""

import asyncio
import socket

import pytest

from appliance.bmc.connection import unverified_tls
from appliance.bmc.redfish import RedfishBmc, RedfishLimits
from appliance.errors import BmcSilentError
from appliance.model.bmc import BmcEndpoint
from appliance.model.secret import Secret
from appliance.system import SystemClock
from tests.failures import scene_of


def test_a_silent_bmc() -> None:
    shown = scene_of("dead-bmc").condition
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        error = asyncio.run(asked(url))
    assert shown.reason == str(error).replace(url, "https://10.81.0.1")
    assert (shown.evidence, shown.next_action) == (error.evidence, error.next_action)


async def asked(url: str) -> BmcSilentError:
    endpoint = BmcEndpoint(url=url, user="admin", password=Secret("x"), fingerprint="00" * 32)
    bmc = RedfishBmc(endpoint, unverified_tls(), SystemClock(), RedfishLimits(request_seconds=0.2))
    with pytest.raises(BmcSilentError) as caught:
        await bmc.identify()
    await bmc.close()
    return caught.value

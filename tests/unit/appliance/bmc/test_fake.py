"""What tests of others rely on in the fake, beyond the contract that it shares with real BMCs."""

import asyncio

import pytest

from appliance.bmc.fake import FakeBmc, FakeDialler
from appliance.errors import BmcError
from appliance.model.bmc import BmcEndpoint, BootTarget, PowerCommand, PowerState, SystemIdentity
from appliance.model.secret import Secret

IDENTITY = SystemIdentity(
    path="/1", uuid=None, serial="S", manufacturer="M", product="P", macs=(), power=PowerState.OFF
)
ENDPOINT = BmcEndpoint(url="https://10.0.0.1", user="a", password=Secret("b"), fingerprint="0" * 64)


def test_boots_and_hook() -> None:
    heard: list[PowerCommand] = []
    bmc = FakeBmc(IDENTITY, heard.append)
    asyncio.run(bmc.set_boot_once(BootTarget.NETWORK))
    asyncio.run(bmc.command(PowerCommand.ON))
    asyncio.run(bmc.command(PowerCommand.CYCLE))
    assert heard == bmc.commands == [PowerCommand.ON, PowerCommand.CYCLE]
    assert bmc.boots == [BootTarget.NETWORK, BootTarget.NONE]


def test_failures_come_once_each() -> None:
    bmc = FakeBmc(IDENTITY)
    bmc.failures.append(BmcError("no"))
    with pytest.raises(BmcError, match="no"):
        asyncio.run(bmc.command(PowerCommand.ON))
    assert bmc.commands == []
    asyncio.run(bmc.command(PowerCommand.ON))
    assert bmc.power is PowerState.ON


def test_deaf_bmc_accepts_and_does_nothing() -> None:
    bmc = FakeBmc(IDENTITY)
    bmc.deaf = True
    asyncio.run(bmc.command(PowerCommand.ON))
    assert asyncio.run(bmc.set_boot_once(BootTarget.DISK)) is BootTarget.NONE
    assert bmc.commands == [PowerCommand.ON]
    assert bmc.power is PowerState.OFF


def test_dialler_knows_its_fakes_only() -> None:
    bmc = FakeBmc(IDENTITY)
    assert FakeDialler({ENDPOINT.url: bmc}).dial(ENDPOINT) is bmc
    with pytest.raises(BmcError, match="cannot be reached"):
        FakeDialler({}).dial(ENDPOINT)

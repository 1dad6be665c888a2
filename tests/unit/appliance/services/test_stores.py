"""Networks and addresses of a whole site, with what its machines' BMCs said."""

from pathlib import Path

import pytest

from appliance.errors import NotFoundError
from appliance.model.network_views import AddressState
from appliance.services.stores import StoreDesk
from appliance.store.records import IdentityRead
from pxe.dhcp.address import Hardware, packed
from pxe.dhcp.leases import Lease, LeaseState
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.virtual import run
from tests.unit.appliance.store.samples import IDENTITY, NODE


def test_a_lease_shows_the_machine_that_the_bmc_named(tmp_path: Path) -> None:
    async def scene() -> None:
        rack = FakeRack(tmp_path)
        net = Net(rack)
        await net.memory.remember(IdentityRead(machine=NODE, identity=IDENTITY))
        mac = IDENTITY.macs[-1]
        clock, first = net.hands.clock, rack.site.topology.boot_network.first
        leases = [Lease(packed(first), Hardware(bytes(mac)), LeaseState.BOUND, clock.now() + 60)]
        desk = StoreDesk(rack.site.topology, net.memory, net.segment, clock, leases=lambda: leases)
        (found,) = (one for one in desk.leases().leases if one.state is AddressState.BOUND)
        assert (found.mac, found.machine) == (str(mac), NODE)
        assert desk.networks().networks[0].used == 1
        assert desk.networks().serves
        assert desk.history().samples == ()
        await rack.close()

    run(scene())


def test_without_a_store_there_are_no_images(tmp_path: Path) -> None:
    async def scene() -> None:
        rack = FakeRack(tmp_path)
        net = Net(rack)
        with pytest.raises(NotFoundError, match="no artefact store"):
            await net.application.stores.images()
        await rack.close()

    run(scene())

"""The daemon's part for what machines may rely on: the time, and an address behind which whoever is well answers."""

from contextlib import AsyncExitStack

from appliance.backup.state import CONTENT
from appliance.balancer.service import BalancerFiles, BalancerService
from appliance.config import Settings
from appliance.model.balancer import BalancerPlace
from appliance.services.balancer import BalancerDesk
from appliance.supervision.host import HostChildren
from appliance.supervision.keeper import Keeper
from appliance.system import SystemClock
from appliance.timekeeping.config import Answering
from appliance.timekeeping.service import time_keeper
from appliance.topology import ClusterRack, Rack
from images.processes import HostProcesses


def timing(settings: Settings, rack: Rack) -> tuple[Keeper, ...]:
    """None where the site program states no time service."""
    if rack.time is None:
        return ()
    answering = Answering(
        address=rack.boot_network.address,
        networks=rack.boot_network.networks,
        upstreams=rack.time.upstreams,
        folder=settings.state_dir / CONTENT / "time",
    )
    return (time_keeper(answering, HostChildren(), SystemClock()),)


def balancing(settings: Settings, rack: ClusterRack, closing: AsyncExitStack) -> BalancerDesk | None:
    """As it was left; None where the control planes have it."""
    if rack.balancer.place is not BalancerPlace.APPLIANCE:
        return None
    folder = settings.state_dir / CONTENT / "balancer"
    service = BalancerService(BalancerFiles(folder=folder), HostChildren(), HostProcesses(), SystemClock())
    desk = BalancerDesk(service, folder / "wanted.json", rack.cluster_address, SystemClock())
    desk.start()
    closing.push_async_callback(desk.close)
    return desk

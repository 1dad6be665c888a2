"""A topology that only names machines is too poor for an installation, but not for its own scores."""

from appliance.model.ids import MachineName
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site


class Names:
    @property
    def machines(self) -> tuple[MachineName, ...]:
        return ()


discover = Site(name="poor", topology=Names(), scores=[Discover()])  # rejected
install = Site(name="poor", topology=Names(), scores=[InstallLinux(image="debian-13")])  # rejected
smoke = Site(name="poor", topology=Names(), scores=(SmokeTest(),))  # rejected

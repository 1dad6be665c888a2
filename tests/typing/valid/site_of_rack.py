"""Scores whose needs a rack offers, in a list and in a tuple, inferred and annotated."""

from appliance.inventory.model import Inventory
from appliance.roles.disk import Overwrite, SmallestDisk
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.score import Score
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site, check, plan_site
from appliance.topology import Rack


def as_list(rack: Rack) -> Site[Rack]:
    install = InstallLinux(image="debian-13", disk=SmallestDisk(minimum_bytes=1), overwrite=Overwrite.BLANK_ONLY)
    return Site(name="lab", topology=rack, scores=[Discover(), install, SmokeTest()])


def as_tuple(rack: Rack) -> Site[Rack]:
    return Site(name="lab", topology=rack, scores=(SmokeTest(), Discover()))


def as_variable(rack: Rack, inventory: Inventory) -> None:
    site = Site(name="lab", topology=rack, scores=[Discover(), SmokeTest()])
    assert plan_site(check(site), inventory).digest


def narrow(score: Discover) -> Score[Rack]:
    return score

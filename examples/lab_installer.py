"""The virtual rack, installed by Debian's own installer: build it first, `./run image debian-13-installer`."""

from dataclasses import replace

from appliance.lab.topology import lab_rack
from appliance.model.ids import ImageName
from appliance.roles.disk import Overwrite, SmallestDisk
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site

site = Site(
    name="lab",
    topology=replace(lab_rack(), image_names=(ImageName("debian-13-installer"),)),
    scores=[
        Discover(),
        InstallLinux(image="debian-13-installer", disk=SmallestDisk(), overwrite=Overwrite.BLANK_ONLY),
        SmokeTest(),
    ],
)

"""From cold metal to machines that one can enter: the site program of the virtual rack.

A site program says what there is (a topology) and what is wanted of it (scores). It is plain Python: type checkers
refuse a score that asks for more than the topology offers, and so does

    innervate check examples/lab_rack.py
"""

from appliance.lab.topology import lab_rack
from appliance.roles.disk import Overwrite, SmallestDisk
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site

GB = 10**9

site = Site(
    name="lab",
    topology=lab_rack(),
    scores=[
        Discover(),
        InstallLinux(
            image="debian-13",
            disk=SmallestDisk(minimum_bytes=2 * GB),
            overwrite=Overwrite.BLANK_ONLY,
        ),
        SmokeTest(),
    ],
)

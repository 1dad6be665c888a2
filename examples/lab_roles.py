"""Roles, a spare, and a reflex: when an installation fails for good, the spare takes the role without a hand.

innervate check examples/lab_roles.py
"""

from dataclasses import replace

from appliance.lab.topology import lab_rack
from appliance.model.reflex import Policy, Reflexes
from appliance.plan import ShellCheck
from appliance.roles.role import Role, RoleName
from appliance.roles.rule import AtLeastMemory
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site

MB = 10**6

site = Site(
    name="lab",
    topology=replace(
        lab_rack(),
        roles=(
            Role(name=RoleName("control-plane"), count=1, where=AtLeastMemory(900 * MB), spares=1),
            Role(name=RoleName("worker"), count=1, where=AtLeastMemory(900 * MB)),
        ),
        reflexes=Reflexes(on_failure=Policy.REPLACE),
        drain=ShellCheck(name="flush to disk", argv=("sync",)),
    ),
    scores=[Discover(), InstallLinux(image="debian-13"), SmokeTest()],
)

"""A site without a cluster: a server becomes a container host, and an application runs on it.

The appliance holds two sets for it, made by `./run image podman --into DIR` and `innervate package build
examples/application/host --into DIR`, and imported by `innervate set import`. With a second machine in `hosts` one is
changed after the other. NoHostedApplication(application="pages") takes it away.

innervate check examples/hosts.py
"""

from appliance.lab.topology import lab_cluster_rack
from appliance.scores.discover import Discover
from appliance.scores.hosted import HostedApplication
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site

site = Site(
    name="lab",
    topology=lab_cluster_rack(),
    scores=[
        Discover(),
        InstallLinux(image="debian-13"),
        SmokeTest(),
        HostedApplication(package="pages-1.0.0-amd64", hosts=("node-0",), set="podman-5.4.2+ds1-2+b2-amd64"),
    ],
)

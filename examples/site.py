"""A whole site: from servers that are powered off to an application that answers, and back.

The appliance holds two sets for it, made by `./run image kubernetes --into DIR` and `innervate package build
examples/application/one --into DIR`, and imported by `innervate set import`. Another version of the application is
another number here; NoApplication and NoCluster take away what was made, `innervate retire` all of it, down to
machines that are erased and off. A worker that falls silent gives its role to the spare by itself.

innervate check examples/site.py
"""

from dataclasses import replace

from appliance.lab.topology import lab_cluster_rack
from appliance.model.reflex import Policy, Reflexes
from appliance.roles.role import Role, RoleName
from appliance.roles.rule import AtLeastMemory
from appliance.scores.application import Application
from appliance.scores.cluster import KubernetesCluster
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site

MB = 10**6

site = Site(
    name="lab",
    topology=replace(
        lab_cluster_rack(),
        roles=(
            Role(name=RoleName("control-plane"), count=1, where=AtLeastMemory(1700 * MB)),
            Role(name=RoleName("worker"), count=1, where=AtLeastMemory(900 * MB), spares=1),
        ),
        reflexes=Reflexes(on_silence=Policy.REPLACE),
    ),
    scores=[
        Discover(),
        InstallLinux(image="debian-13"),
        SmokeTest(),
        KubernetesCluster(cluster="lab", set="kubeadm-v1.20.2-amd64"),
        Application(package="web-1.0.0-amd64", cluster="lab"),
    ],
)

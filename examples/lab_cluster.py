"""From powered off to a Kubernetes: one control plane, a worker, and a spare that takes the worker's place by itself.

innervate check examples/lab_cluster.py
"""

from dataclasses import replace

from appliance.lab.topology import lab_cluster_rack
from appliance.model.reflex import Policy, Reflexes
from appliance.roles.role import Role, RoleName
from appliance.roles.rule import AtLeastMemory
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
    ],
)

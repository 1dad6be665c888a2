"""All that is done towards clusters and container hosts: such steps share one way of being looked at and begun."""

from appliance.model.application import AppAction
from appliance.model.cluster import ClusterAction
from appliance.model.hosted import HostAction
from appliance.model.okd import OkdAction
from appliance.model.slurm import SlurmAction
from appliance.model.switch import BondPorts

OnClusters = ClusterAction | SlurmAction | OkdAction | AppAction | HostAction | BondPorts
"""A step towards a cluster of any engine, towards what runs on it or on a container host, or towards the ports of
machines."""

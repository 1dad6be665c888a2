"""All that is done towards clusters, whoever does it: such steps share one way of being looked at and begun."""

from appliance.model.application import AppAction
from appliance.model.cluster import ClusterAction
from appliance.model.okd import OkdAction
from appliance.model.slurm import SlurmAction
from appliance.model.switch import BondPorts

OnClusters = ClusterAction | SlurmAction | OkdAction | AppAction | BondPorts
"""A step towards a cluster of any engine, towards what runs on it, or towards the ports of its machines."""

"""Slurm as a set. The packages of the two daemons are apart: a machine has one of them."""

from images.artifact_set import Engine
from images.debian_set import DebianSet

_DAEMONS = ("slurmctld", "slurmd")
SLURM = DebianSet(
    engine=Engine.SLURM, packages=("munge", "slurm-client", *_DAEMONS), versioned=_DAEMONS[0], apart=_DAEMONS
)

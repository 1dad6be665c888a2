"""Whose cluster an artifact set makes, and whose work it is. Apart from the set, which takes a moment to import."""

from enum import StrEnum


class Engine(StrEnum):
    KUBEADM = "kubeadm"
    K3S = "k3s"
    RKE2 = "rke2"
    TALOS = "talos"
    OKD = "okd"
    SLURM = "slurm"
    PODMAN = "podman"
    """No cluster either: what container hosts are made with."""
    APPLICATION = "application"
    """No engine of clusters: what runs on one, or on container hosts."""


class Provenance(StrEnum):
    """Whose work the engine is: a result that was reached with a stand-in says nothing about the genuine one."""

    GENUINE = "genuine"
    REBUILT = "rebuilt"
    """The genuine sources, compiled by us."""
    STAND_IN = "stand-in"

"""A version of Kubernetes, also as k3s and RKE2 write theirs, and the form in which its kubeadm wants to be told.

https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/ and its older neighbours
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from appliance.errors import SiteError

_TEXT = re.compile(r"v?(\d{1,3})\.(\d{1,3})\.(\d{1,4})(?:\+(k3s|rke2r)(\d{1,3}))?")
OLDEST, NEWEST = 20, 35
"""Minors of version 1 that are known: what a later one wants, nobody has read here."""


class ConfigApi(StrEnum):
    V1BETA2 = "kubeadm.k8s.io/v1beta2"
    V1BETA3 = "kubeadm.k8s.io/v1beta3"
    V1BETA4 = "kubeadm.k8s.io/v1beta4"


_SINCE = ((31, ConfigApi.V1BETA4), (22, ConfigApi.V1BETA3), (OLDEST, ConfigApi.V1BETA2))


@dataclass(frozen=True, slots=True, order=True)
class KubernetesVersion:
    """`release` is that of k3s (`+k3s1`) or of RKE2 (`+rke2r1`) of this version, 0 where it is Kubernetes' own."""

    major: int
    minor: int
    patch: int
    release: int = 0
    packager: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `v1.20.2`, `1.20.2` or `v1.33.4+k3s1`. Raises SiteError, also for a release that is not final."""
        if not (found := _TEXT.fullmatch(text)):
            raise SiteError(
                "this is no version of Kubernetes",
                evidence=repr(text)[:80],
                next_action="write it as the artifact set does: v1.20.2",
            )
        major, minor, patch, packager, release = found.groups()
        return cls(int(major), int(minor), int(patch), int(release or 0), packager or "")

    def __str__(self) -> str:
        packaged = f"+{self.packager}{self.release}" if self.packager else ""
        return f"v{self.major}.{self.minor}.{self.patch}{packaged}"

    @property
    def config_api(self) -> ConfigApi:
        """The newest that this version's kubeadm reads. Raises SiteError for a minor that is not known."""
        if self.major == 1 and OLDEST <= self.minor <= NEWEST:
            return next(api for since, api in _SINCE if self.minor >= since)
        raise SiteError(
            f"Kubernetes {self} is not known",
            evidence=f"versions 1.{OLDEST} to 1.{NEWEST} are",
            next_action="name the artifact set of a known version, or upgrade the appliance first",
        )

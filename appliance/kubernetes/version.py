"""A version of Kubernetes, and the form in which its kubeadm wants to be told.

https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/ and its older neighbours
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from appliance.errors import SiteError

_TEXT = re.compile(r"v?(\d{1,3})\.(\d{1,3})\.(\d{1,4})")
OLDEST, NEWEST = 20, 35
"""Minors of version 1 that are known: what a later one wants, nobody has read here."""


class ConfigApi(StrEnum):
    V1BETA2 = "kubeadm.k8s.io/v1beta2"
    V1BETA3 = "kubeadm.k8s.io/v1beta3"
    V1BETA4 = "kubeadm.k8s.io/v1beta4"


_SINCE = ((31, ConfigApi.V1BETA4), (22, ConfigApi.V1BETA3), (OLDEST, ConfigApi.V1BETA2))


@dataclass(frozen=True, slots=True, order=True)
class KubernetesVersion:
    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `v1.20.2` or `1.20.2`. Raises SiteError, also for a release that is not final."""
        if not (found := _TEXT.fullmatch(text)):
            raise SiteError(
                "this is no version of Kubernetes",
                evidence=repr(text)[:80],
                next_action="write it as the artifact set does: v1.20.2",
            )
        return cls(*map(int, found.groups()))

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

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

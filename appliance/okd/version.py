"""A release of OKD: `4.19.0-okd-scos.10`, as its release images are tagged (okd-project/okd, releases)."""

import re
from dataclasses import dataclass
from typing import Self

from appliance.errors import SiteError

_TEXT = re.compile(r"(\d{1,2})\.(\d{1,3})\.(\d{1,4})-okd-scos\.((?:ec\.|rc\.)?\d{1,4})")
OLDEST = (4, 19)
"""From here on SCOS has boot images of its own; what came before boots Fedora CoreOS and turns into SCOS later
(okd-project/okd issue 2018)."""
_MAJORS = (4, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class OkdVersion:
    """`build` is what follows `okd-scos.`."""

    major: int
    minor: int
    patch: int
    build: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `SiteError` for what is no such release, or one that the appliance does not install."""
        if not (found := _TEXT.fullmatch(text)):
            raise SiteError(
                f"{text[:80]!r} is no release of OKD on SCOS",
                next_action="write it as the release image is tagged: 4.19.0-okd-scos.10",
            )
        major, minor, patch = (int(found[number]) for number in (1, 2, 3))
        version = cls(major=major, minor=minor, patch=patch, build=found[4])
        if (major, minor) < OLDEST:
            raise SiteError(
                f"OKD {major}.{minor} has no boot images of SCOS: from {OLDEST[0]}.{OLDEST[1]} on there are",
                evidence=f"{text} boots Fedora CoreOS first and becomes SCOS at its first start, which is fragile",
                next_action=f"import a set of OKD {OLDEST[0]}.{OLDEST[1]} or later, and name that",
            )
        if major not in _MAJORS:
            raise SiteError(
                f"OKD {major} is not known",
                evidence=f"majors {' and '.join(map(str, _MAJORS))} are",
                next_action="upgrade the appliance first, or name the set of a known release",
            )
        return version

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}-okd-scos.{self.build}"

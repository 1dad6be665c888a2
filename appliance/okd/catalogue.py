"""Whose work a set of OKD is: by the files that are known here, else by the word of whoever made the set.

Genuine releases come into the catalogue with the results of `innervate accept okd` that sites hand in; there is none
yet. The programs that stand in for OKD's in our tests are in it, so that no set of them passes for more.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.okd.artifacts import OkdFile
from images.artifact_set import ArtifactSet
from images.engine import Provenance

STAND_INS = frozenset(
    {
        "aa56e2109bf79c216f0ead50893aa31da7f8949020f9cad2a54c6c94a54aaf4c",
        "ef119da1e8d79e4a014fb04030e3a0f238a0d3888bad2ea9a661a5b20e288ce9",
    }
)
"""SHA-256 of programs that stand in."""
GENUINE: Mapping[str, str] = {}
"""SHA-256 of genuine files, and the release that they are of."""
_PROVEN = (OkdFile.INSTALLER, OkdFile.OC, OkdFile.KERNEL, OkdFile.INITRAMFS, OkdFile.ROOTFS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """`proven`: the catalogue says so, not the set."""

    provenance: Provenance
    proven: bool

    @property
    def words(self) -> str:
        match self.provenance:
            case Provenance.STAND_IN:
                return "STAND-IN: its programs are none of OKD's"
            case Provenance.GENUINE if self.proven:
                return "genuine: every file is one that is known"
            case _:
                return f"{self.provenance.value} by the word of whoever made the set: no file of it is known here"


def standing(
    described: ArtifactSet, genuine: Mapping[str, str] = GENUINE, stand_ins: frozenset[str] = STAND_INS
) -> Standing:
    """Whatever a set says, a stand-in in it makes all of it one."""
    if described.provenance is Provenance.STAND_IN or any(file.sha256 in stand_ins for file in described.files):
        proven = any(file.sha256 in stand_ins for file in described.files)
        return Standing(provenance=Provenance.STAND_IN, proven=proven)
    wanted = [file.sha256 for role in _PROVEN for file in described.of_role(role.value)]
    known = bool(wanted) and all(genuine.get(digest) == described.version for digest in wanted)
    return Standing(provenance=described.provenance, proven=known)

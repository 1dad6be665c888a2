"""Podman as a set: with what it only recommends, and a container host cannot do without."""

from images.artifact_set import Engine
from images.debian_set import DebianSet

_RUNTIME = ("crun", "conmon", "catatonit")
_NETWORK = ("netavark", "aardvark-dns", "nftables")
PODMAN = DebianSet(engine=Engine.PODMAN, packages=("podman", *_RUNTIME, *_NETWORK), versioned="podman")

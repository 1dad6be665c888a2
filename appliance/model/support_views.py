"""What a support bundle says of itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestView:
    """`made` in seconds since the epoch."""

    site: str
    made: float
    files: tuple[BundleFile, ...]

"""The description of an image; its home is the agent, which reads it in the ramdisk without this package."""

from images.agent.manifest import (
    BLOCK_SIZE,
    MAX_RAW_SIZE,
    MAX_TEXT,
    VERSION,
    Block,
    Manifest,
    ManifestError,
    frame_bound,
)

__all__ = [
    "BLOCK_SIZE",
    "MAX_RAW_SIZE",
    "MAX_TEXT",
    "VERSION",
    "Block",
    "Manifest",
    "ManifestError",
    "frame_bound",
]

"""A folder that becomes an image layout, one image after the other.

FOLDER/oci-layout            says that it is one
FOLDER/index.json            the images by name; written last, so that a name always leads somewhere
FOLDER/blobs/sha256/HEX      layers, configs and manifests, each once
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from images.errors import LayoutError
from images.oci import document, reading
from images.oci.content import Content
from images.oci.document import Blob, Compression, Layer, Settings
from images.oci.layer import pack

MARKER = "oci-layout"
_MARK = b'{"imageLayoutVersion":"1.0.0"}'


class Layout:
    """Every method raises LayoutError. One writer at a time."""

    def __init__(self, folder: Path, images: Sequence[Blob] = ()) -> None:
        self.folder = folder
        self._images = {image.name: image for image in images}

    @classmethod
    def create(cls, folder: Path) -> "Layout":
        """An empty one; the folder is made, or is empty."""
        try:
            (folder / reading.BLOBS).mkdir(parents=True)
        except OSError as cause:
            raise LayoutError("no layout can be made there", evidence=str(cause)) from cause
        layout = cls(folder)
        layout._store(MARKER, _MARK)
        layout._store(reading.INDEX, document.index_json(()))
        return layout

    @classmethod
    def open(cls, folder: Path) -> "Layout":
        return cls(folder, reading.images(folder))

    @property
    def images(self) -> tuple[Blob, ...]:
        """Sorted by name."""
        return tuple(image for _, image in sorted(self._images.items()))

    def add_layer(self, content: Content, compression: Compression = Compression.ZSTD) -> Layer:
        with tempfile.TemporaryDirectory(dir=self.folder) as work:
            packed = Path(work, "layer")
            layer = pack(content, packed, compression)
            packed.chmod(0o644)
            packed.replace(self.folder / reading.path_of(layer.blob))
        return layer

    def adopt(self, folder: Path, name: str) -> tuple[Layer, ...]:
        """The layers of an image of another layout, lowest first, now of this one, too."""
        layers = reading.layers(folder, name)
        for blob in (layer.blob for layer in layers):
            if fault := reading.fault_of(folder, blob):
                raise LayoutError(f"{name} cannot be built upon", evidence=fault.describe())
            target = self.folder / reading.path_of(blob)
            if not target.exists():
                shutil.copyfile(folder / reading.path_of(blob), target)
        return layers

    def add_image(self, name: str, layers: Sequence[Layer], settings: Settings, architecture: str = "amd64") -> Blob:
        """Its manifest. An image of the same name is replaced; its blobs stay."""
        config = self._add(document.CONFIG, document.config_json(layers, settings, architecture))
        manifest = self._add(document.MANIFEST, document.manifest_json(config, layers), name)
        self._images[name] = manifest
        self._store(reading.INDEX, document.index_json(self.images))
        return manifest

    def _add(self, media: str, content: bytes, name: str = "") -> Blob:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        blob = Blob(media=media, digest=digest, size=len(content), name=name)
        self._store(reading.path_of(blob), content)
        return blob

    def _store(self, path: str, content: bytes) -> None:
        target, fresh = self.folder / path, self.folder / f"{path}.new"
        try:
            with fresh.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(target)
        except OSError as cause:
            raise LayoutError("a layout could not be written", evidence=str(cause)) from cause

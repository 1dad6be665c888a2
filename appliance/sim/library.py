"""What machines can fetch in the simulation: the image, and seeds with the real files in a simple box.

The real seed is a FAT volume of 2 MiB, made by a tool; its files are what matters here.
"""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping

from appliance.conductor.hands import PublishedSeed
from appliance.identity.key import ApplianceKey
from appliance.install.seed import seed_files
from appliance.model.identity import Bound
from appliance.model.ids import Nonce
from appliance.model.site import BootNetwork
from appliance.plan import ImageRef, WriteSeed
from appliance.ports import Rng
from appliance.services.library import artifact_path
from appliance.sim.image import Image
from images.agent.bond import SIZE, sealed

_MAGIC = b"SEED"


class SimLibrary:
    """Implements `appliance.conductor.hands.Library`; its seeds live as long as the appliance's process."""

    def __init__(self, image: Image, network: BootNetwork, report_url: str, key: ApplianceKey, rng: Rng) -> None:
        self._key, self._rng = key, rng
        self._network, self._report_url = network, report_url
        self._artifacts = {
            artifact_path(image.ref.manifest_sha256): image.manifest,
            artifact_path(image.ref.blob_sha256): image.blob,
        }
        self._seeds: dict[str, tuple[str, bytes]] = {}

    def manifest_path(self, image: ImageRef) -> str:
        return artifact_path(image.manifest_sha256)

    def blob_path(self, image: ImageRef) -> str:
        return artifact_path(image.blob_sha256)

    def publish_seed(self, do: WriteSeed, nonce: Nonce, reader: Bound) -> PublishedSeed:
        """A machine's newer seed replaces its older one."""
        volume = pack_seed(seed_files(do, nonce=nonce, report_url=self._report_url, network=self._network))
        salt, shared = self._rng.token(SIZE), self._key.shared(bytes.fromhex(reader.key))
        data = sealed(shared, bytes.fromhex(salt), reader.nonce, zlib.compress(volume))
        digest = hashlib.sha256(data).hexdigest()
        path = artifact_path(f"seed/{do.hostname}/{digest}")
        self._seeds[do.hostname] = (path, data)
        return PublishedSeed(path=path, sha256=digest, size=len(data), salt=salt)

    def content(self, path: str) -> bytes | None:
        if path.startswith("/artifact/seed/"):
            known, volume = self._seeds.get(path.split("/")[3], ("", b""))
            return volume if known == path else None
        return self._artifacts.get(path)


def pack_seed(files: Mapping[str, bytes]) -> bytes:
    text = json.dumps({name: base64.b64encode(data).decode() for name, data in files.items()}).encode()
    return _MAGIC + len(text).to_bytes(4) + text


def unpack_seed(volume: bytes) -> dict[str, str] | None:
    if not volume.startswith(_MAGIC):
        return None
    size = int.from_bytes(volume[4:8])
    try:
        files: dict[str, str] = json.loads(volume[8 : 8 + size])
    except ValueError:
        return None
    return {name: base64.b64decode(data).decode() for name, data in files.items()}

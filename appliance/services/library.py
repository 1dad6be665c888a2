"""What machines can download: images and ramdisks of the artefact store, and the seed of each machine."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from threading import Lock

from appliance.conductor.hands import PublishedSeed
from appliance.install.seed import seed_files
from appliance.model.ids import Nonce
from appliance.model.site import BootNetwork
from appliance.plan import ImageRef, WriteSeed
from images.ports import Processes
from images.seed import build
from pxe.content import BytesContent, Content, ContentTable


class Library:
    """Artefacts are named by their hash, so a name never changes its content."""

    def __init__(
        self,
        artifacts: Mapping[str, Content],
        network: BootNetwork,
        report_url: str,
        processes: Processes,
        offer: Callable[[ContentTable], None],
    ) -> None:
        self._artifacts = dict(artifacts)
        self._seeds: dict[str, Content] = {}
        self._network = network
        self._report_url = report_url
        self._processes = processes
        self._offer = offer
        self._lock = Lock()

    def manifest_path(self, image: ImageRef) -> str:
        return artifact_path(image.manifest_sha256)

    def blob_path(self, image: ImageRef) -> str:
        return artifact_path(image.blob_sha256)

    def publish_seed(self, do: WriteSeed, nonce: Nonce) -> PublishedSeed:
        """A machine's newer seed replaces its older one."""
        files = seed_files(do, nonce=nonce, report_url=self._report_url, network=self._network)
        volume = build(files, self._processes)
        digest = sha256(volume).hexdigest()
        name = f"seed/{do.hostname}/{digest}"
        with self._lock:
            self._seeds = {k: v for k, v in self._seeds.items() if not k.startswith(f"seed/{do.hostname}/")}
            self._seeds[name] = BytesContent(data=volume, digest=digest)
            self._offer(ContentTable({**self._artifacts, **self._seeds}))
        return PublishedSeed(path=artifact_path(name), sha256=digest, size=len(volume))


def artifact_path(name: str) -> str:
    return f"/artifact/{name}"

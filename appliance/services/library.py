"""What machines can download: images and ramdisks of the artefact store, and the seed of each machine."""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from threading import Lock

from appliance.conductor.hands import PublishedSeed
from appliance.install.seed import seed_files
from appliance.model.ids import Nonce
from appliance.model.site import BootNetwork
from appliance.plan import ImageRef, WriteSeed
from images.ports import Processes
from images.seed import build
from pxe.content import Content, ContentTable, FileContent

_PAGE = 4096


class Library:
    """Artefacts are named by their hash, so a name never changes its content."""

    def __init__(
        self,
        artifacts: Mapping[str, Content],
        network: BootNetwork,
        report_url: str,
        processes: Processes,
        offer: Callable[[ContentTable], None],
        folder: Path,
    ) -> None:
        """`folder` is for seeds alone: what an earlier life left there goes."""
        self._artifacts = dict(artifacts)
        self._seeds: dict[str, FileContent] = {}
        self._folder = folder
        for left in (*folder.glob("*.*"),) if folder.is_dir() else ():
            left.unlink()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
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
        name, path = f"seed/{do.hostname}/{digest}", self._folder / f"{do.hostname}.{digest}"
        _write_sparsely(path, volume)
        with self._lock:
            older = [(k, v) for k, v in self._seeds.items() if k.startswith(f"seed/{do.hostname}/") and k != name]
            self._seeds[name] = FileContent(path=path, size=len(volume), digest=digest)
            for key, seed in older:
                del self._seeds[key]
                seed.path.unlink(missing_ok=True)
            self._offer(ContentTable({**self._artifacts, **self._seeds}))
        return PublishedSeed(path=artifact_path(name), sha256=digest, size=len(volume))


def _write_sparsely(path: Path, volume: bytes) -> None:
    """Most of a seed is zeros, and there may be thousands of them."""
    with path.open("wb") as file:
        file.truncate(len(volume))
        for offset in range(0, len(volume), _PAGE):
            page = volume[offset : offset + _PAGE]
            if page.strip(b"\0"):
                file.seek(offset)
                file.write(page)


def artifact_path(name: str) -> str:
    return f"/artifact/{name}"

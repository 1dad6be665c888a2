"""Debian's docker-registry as the appliance runs it, and artifact sets to put into it."""

import asyncio
import gzip
import hashlib
import io
import itertools
import json
import os
import socket
import tarfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

from appliance.registry.secrets import kept_secrets
from appliance.registry.service import RegistryFiles, RegistryService
from appliance.store.secrets import SecretFile
from appliance.supervision.host import HostChildren
from appliance.system import SystemClock, SystemRng
from images.artifact_set import ArtifactSet, Engine, Provenance
from images.oci.parts import INDEX, MANIFEST, REF_NAME
from images.set_folder import SetFolder
from images.set_making import describe, write_description
from tests.foreign import unpacked

LOOPBACK = IPv4Address("127.0.0.1")
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG = "application/vnd.oci.image.config.v1+json"


class Layout:
    """An OCI image layout (image-layout.md), written by hand."""

    def __init__(self, root: Path) -> None:
        self._root, self._blobs, self._named = root, root / "blobs" / "sha256", list[dict[str, object]]()
        self._blobs.mkdir(parents=True)

    def blob(self, content: bytes, media: str) -> dict[str, object]:
        digest = hashlib.sha256(content).hexdigest()
        (self._blobs / digest).write_bytes(content)
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(content)}

    def document(self, value: dict[str, object], media: str) -> dict[str, object]:
        return self.blob(json.dumps({"schemaVersion": 2, "mediaType": media} | value).encode(), media)

    def image(self, *files: tuple[str, bytes], arch: str = "amd64") -> dict[str, object]:
        """One layer for each file."""
        tars = [_tar(name, content) for name, content in files]
        hashes = [f"sha256:{hashlib.sha256(tar).hexdigest()}" for tar in tars]
        config = {"architecture": arch, "os": "linux", "rootfs": {"type": "layers", "diff_ids": hashes}, "config": {}}
        layers = [self.blob(gzip.compress(tar, mtime=0), _LAYER) for tar in tars]
        return self.document(
            {"config": self.blob(json.dumps(config).encode(), _CONFIG), "layers": layers}, MANIFEST
        ) | {"platform": {"architecture": arch, "os": "linux"}}

    def index(self, *images: dict[str, object]) -> dict[str, object]:
        return self.document({"manifests": list(images)}, INDEX)

    def name(self, name: str, image: dict[str, object]) -> None:
        self._named.append(image | {"annotations": {REF_NAME: name}})

    def finish(self) -> None:
        (self._root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
        (self._root / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": self._named}))


def _tar(name: str, content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


BASE = ("base", b"what all images share" * 1000)


def make_set(
    folder: Path,
    version: str = "v1.20.2",
    *,
    tag: str = "",
    web: bytes = b"web 1",
    provenance: Provenance = Provenance.STAND_IN,
) -> ArtifactSet:
    """A file, an image, and one for two architectures; images share a layer."""
    folder.mkdir()
    (folder / "kubelet").write_bytes(b"\x7fELF" + version.encode() * 5000)
    layout = Layout(folder / "oci")
    layout.name(f"apps/web:{tag or version}", layout.image(BASE, ("www", web)))
    both = [layout.image(BASE, ("bin", f"pause {arch}".encode()), arch=arch) for arch in ("amd64", "arm64")]
    layout.name("k8s/pause:3.2", layout.index(*both))
    layout.finish()
    source = SetFolder(folder)
    made = describe(
        source,
        engine=Engine.KUBEADM,
        version=version,
        arch="amd64",
        provenance=provenance,
        roles={"kubelet": "kubelet"},
    )
    source.close()
    write_description(folder, made)
    return made


_PORTS = itertools.count(15_000 + os.getpid() * 37 % 10_000)
"""Below those that the kernel gives to connections: whoever connects meanwhile takes none of them."""


def free_ports(count: int) -> list[int]:
    return list(itertools.islice(filter(_is_free, _PORTS), count))


def _is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def program() -> Sequence[str]:
    """Installing the package would start the service on this machine."""
    return (str(unpacked("docker-registry") / "usr/bin/docker-registry"),)


@contextmanager
def registry(folder: Path) -> Iterator[RegistryService]:
    """Runs until the end of the block, and answers before it begins."""
    folder.mkdir(parents=True)
    file = SecretFile(folder / "registry.vault", SystemRng())
    secrets = kept_secrets(file, "lab", SystemClock(), SystemRng())
    file.close()
    port, writing = free_ports(2)
    service = RegistryService(
        RegistryFiles(folder=folder / "registry"),
        secrets,
        address=LOOPBACK,
        port=port,
        writing_port=writing,
        clock=SystemClock(),
        rng=SystemRng(),
        program=program(),
    )
    service.lay_out()
    with _running(service):
        yield service


@contextmanager
def _running(service: RegistryService) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    works = [asyncio.run_coroutine_threadsafe(keeper.run(), loop) for keeper in service.keepers(HostChildren())]
    try:
        with service.links() as links:
            while not all(link.answers() for link in links):
                assert not any(work.done() for work in works), works
        yield
    finally:
        for work in works:
            work.cancel()
        asyncio.run_coroutine_threadsafe(_settled(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _settled() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)

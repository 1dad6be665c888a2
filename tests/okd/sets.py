"""A set of OKD in which everything stands in: programs, boot files of a few kilobytes, a payload of three components.

Its files are the same bytes each time, so that the catalogue knows them."""

import json
import shutil
from contextlib import closing
from pathlib import Path

from appliance.okd.artifacts import CONTENT, RELEASE, OkdFile
from images.artifact_set import LAYOUT, ArtifactSet
from images.engine import Engine, Provenance
from images.oci.content import File
from images.oci.document import Compression, Settings
from images.oci.layout import Layout
from images.set_folder import SetFolder
from images.set_making import describe, write_description
from tests.okd.standin import installer

STAND_INS = Path(installer.__file__).parent
COMPONENTS = ("cli", "etcd", "machine-config-operator")
_LIVE = {
    "kernel": ("scos-live-kernel.x86_64", OkdFile.KERNEL),
    "initramfs": ("scos-live-initramfs.x86_64.img", OkdFile.INITRAMFS),
    "rootfs": ("scos-live-rootfs.x86_64.img", OkdFile.ROOTFS),
}


def stand_in_set(folder: Path, provenance: Provenance = Provenance.STAND_IN) -> ArtifactSet:
    """In `folder`, which is made. `provenance` is what it says of itself."""
    folder.mkdir(parents=True)
    roles = {"openshift-install": "openshift-install", "oc": "oc", "stream.json": "stream"}
    for name, source in (("openshift-install", "installer.py"), ("oc", "oc.py")):
        shutil.copy(STAND_INS / source, folder / name)
        (folder / name).chmod(0o755)
    (folder / "stream.json").write_text(json.dumps(installer.stream(), indent=2, sort_keys=True) + "\n")
    for kind, (name, role) in _LIVE.items():
        (folder / name).write_bytes(installer.boot_file(kind))
        roles[name] = role.value
    _images(folder / LAYOUT)
    with closing(SetFolder(folder)) as opened:
        described = describe(
            opened, engine=Engine.OKD, version=installer.VERSION, arch="amd64", provenance=provenance, roles=roles
        )
    write_description(folder, described)
    return described


def _images(path: Path) -> None:
    """The release names its components by digest, as a payload's image-references do."""
    layout = Layout.create(path)
    references = []
    for name in COMPONENTS:
        layer = layout.add_layer({name: File(source=f"STAND-IN: {name}\n".encode())})
        digest = layout.add_image(f"{CONTENT}:{name}", (layer,), Settings()).digest
        kind = {"kind": "DockerImage", "name": f"quay.io/okd/scos-content@{digest}"}
        references.append({"name": name, "from": kind})
    stream = {"kind": "ImageStream", "apiVersion": "image.openshift.io/v1", "spec": {"tags": references}}
    metadata = {"kind": "cincinnati-metadata-v0", "version": installer.VERSION}
    layer = layout.add_layer(
        {
            "release-manifests/image-references": File(source=json.dumps(stream).encode()),
            "release-manifests/release-metadata": File(source=json.dumps(metadata).encode()),
        },
        Compression.GZIP,
    )
    layout.add_image(f"{RELEASE}:{installer.VERSION}", (layer,), Settings())

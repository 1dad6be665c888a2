"""The artifact set under the name of a later version: the same programs, which say another version of themselves.

Debian has one version of these programs in sources that can be built. What is compared when nodes are upgraded is what
programs say of themselves, and the steps are kubeadm's own: only what the versions would differ in is not seen.
"""

import shutil
from contextlib import closing
from pathlib import Path

from appliance.lab.demo import IMAGES
from images.artifact_set import DESCRIPTION, LAYOUT, ArtifactSet, Engine, Provenance
from images.kubernetes import binaries
from images.oci.content import File
from images.oci.document import Settings
from images.oci.layout import Layout
from images.set_folder import SetFolder
from images.set_making import describe, write_description
from images.store import Store
from tests.cluster.conftest import Artifacts

LATER = "v1.21.2"
_PATH = "/usr/local/bin:/usr/sbin:/usr/bin"


def later_set(artifacts: Artifacts, folder: Path) -> ArtifactSet:
    """Below `folder`, which is made."""
    shutil.copytree(artifacts.folder, folder, ignore=shutil.ignore_patterns(LAYOUT, DESCRIPTION))
    for program in ("kubeadm", "kubectl", "kubelet"):
        (folder / program).write_bytes(renamed((folder / program).read_bytes()))
    _images(artifacts, folder)
    roles = {file.name: file.role for file in artifacts.set.files}
    with closing(SetFolder(folder)) as opened:
        described = describe(
            opened, engine=Engine.KUBEADM, version=LATER, arch="amd64", provenance=Provenance.REBUILT, roles=roles
        )
    write_description(folder, described)
    return described


def _images(artifacts: Artifacts, folder: Path) -> None:
    store, layout = Store(IMAGES), Layout.create(folder / LAYOUT)
    recipe = binaries.binaries_recipe()
    programs = store.find(recipe.name, recipe.key)
    assert programs is not None, "the set was made of them"
    for image in artifacts.set.images:
        name = image.repository.rpartition("/")[2]
        layers = layout.adopt(artifacts.folder / LAYOUT, f"{image.repository}:{image.tag}")
        settings = Settings(environment={"PATH": _PATH})
        if name == "pause":
            settings = Settings(entrypoint=("/pause", "-P"))
        if image.tag != binaries.VERSION:
            layout.add_image(f"{image.repository}:{image.tag}", layers, settings)
            continue
        program = renamed(store.path_of(programs.artifact(name).sha256).read_bytes())
        layer = layout.add_layer({f"usr/local/bin/{name}": File(source=program, mode=0o755)})
        layout.add_image(f"{image.repository}:{LATER}", (*layers, layer), settings)


def renamed(program: bytes) -> bytes:
    was, is_ = binaries.VERSION.encode(), LATER.encode()
    assert len(was) == len(is_)
    assert was in program
    return program.replace(was, is_)

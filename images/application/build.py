"""From the folder of an application to its artifact set: built once for one content, kept, written where it is wanted.

The entry in the store is the set's folder without a signature; a file's path is its name there, with `+` for `/`:

    set.json                what is in it (`images.artifact_set`)
    manifests.yaml          role `manifests`: rendered, every image by its name in the set
    smoke.json              role `smoke`: what has to answer, and how
    values.json, ...        roles `values` and `values-schema`: what a chart was rendered with
    NAME.container, ...     role `quadlet`: units of a container host
    sbom.cdx.json           role `sbom`
    oci+index.json, ...     the layout of images
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from images.application import contents, documents, quadlet, signing
from images.application.containers import Containers, Made
from images.application.description import Description
from images.application.manifests import check_smoke, checked, named
from images.application.rendering import SCHEMA, VALUES, render
from images.application.source import Source
from images.archive import SUITE, Archive
from images.artifact_set import DESCRIPTION, LAYOUT, ArtifactSet, Engine, Provenance, SetFile, read_set
from images.errors import PackageError
from images.recipe import Recipe, ensure, hashes
from images.set_making import write_description
from images.signature import SecretKey
from images.store import Entry, Store, sha256_of

MANIFESTS, SMOKE = "manifests.yaml", "smoke.json"
ARCH = "amd64"
_ROLES = {
    MANIFESTS: "manifests",
    SMOKE: "smoke",
    VALUES: "values",
    SCHEMA: "values-schema",
    contents.NAME: "sbom",
}
_SLASH = "+"
_RECIPES = "application-"
_PACKAGE = Path(__file__).parent.parent
_DECIDING = ("application/*.py", "oci/*.py", "appliance/sbom.py", "artifact_set.py", "kubernetes/suite.py")


def package(source: Path, into: Path, store: Store, archive: Archive, key: SecretKey | None = None) -> ArtifactSet:
    """The set in the folder `into`/NAME, which is made; the same set there already stays. Signed if there is a `key`.
    Raises ImagesError, before anything stands there."""
    read = Source(source)
    entry = _ensure(read, store, archive)
    into.mkdir(parents=True, exist_ok=True)
    draft = into / f".{read.description.name}.{os.getpid()}.new"
    shutil.rmtree(draft, ignore_errors=True)
    try:
        return _placed(_written(entry, store, draft, key), draft, into)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _ensure(source: Source, store: Store, archive: Archive) -> Entry:
    described = source.description
    recipe = Recipe(
        name=f"{_RECIPES}{described.name}",
        suite=SUITE,
        packages=described.packages,
        options=(source.fingerprint(),),
        sources=hashes(_PACKAGE, _DECIDING),
    )

    def build(work: Path) -> Mapping[str, Path]:
        folder = work / "set"
        folder.mkdir()
        _write(source, folder, store, archive, work)
        files = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return {path.relative_to(folder).as_posix().replace("/", _SLASH): path for path in files}

    return ensure(recipe, store, build, archive.progress)


def _write(source: Source, folder: Path, store: Store, archive: Archive, work: Path) -> None:
    """What can be refused quickly is refused first."""
    described = source.description
    for name, content in _texts(source, archive, work):
        (folder / name).write_bytes(content)
    made = Containers(source, folder / LAYOUT, store, archive, work).write()
    (folder / contents.NAME).write_bytes(contents.bill(described, made))
    write_description(folder, _described(described, folder, made))


def _texts(source: Source, archive: Archive, work: Path) -> Iterator[tuple[str, bytes]]:
    described = source.description
    rendered, units = render(source, archive, work), _units(source)
    manifests = checked(rendered.documents, described.clear_secrets)
    yield MANIFESTS, documents.write(named(manifest, described.names) for manifest in manifests)
    yield from rendered.files
    yield from ((name, text.encode()) for name, text in units.items())
    if (smoke := described.smoke) is None:
        return
    if manifests:
        check_smoke(manifests, smoke.service, smoke.port)
    if units:
        quadlet.check_smoke(units, smoke.service, smoke.port)
    yield SMOKE, smoke.to_json()


def _units(source: Source) -> Mapping[str, str]:
    """Text by name."""
    found = dict[str, str]()
    for file in source.description.quadlet:
        name = quadlet.name_of(file)
        if name in found:
            raise PackageError(f"two units are called {name}", evidence=file, next_action="give one another name")
        found[name] = quadlet.named(source.text(file), file, source.description.names)
    return found


def _described(described: Description, folder: Path, made: tuple[Made, ...]) -> ArtifactSet:
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    return ArtifactSet(
        engine=Engine.APPLICATION,
        application=described.name,
        version=described.version,
        arch=ARCH,
        provenance=Provenance.GENUINE,
        files=tuple(_file(folder / name, _ROLES.get(name, quadlet.ROLE)) for name in names),
        images=tuple(one.image for one in made),
    )


def _file(path: Path, role: str) -> SetFile:
    return SetFile(name=path.name, role=role, size=path.stat().st_size, sha256=sha256_of(path))


def _written(entry: Entry, store: Store, folder: Path, key: SecretKey | None) -> ArtifactSet:
    for artifact in entry.artifacts:
        target = folder / artifact.name.replace(_SLASH, "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(store.path_of(artifact.sha256), target)
    described = read_set((folder / DESCRIPTION).read_bytes())
    if key is None:
        return described
    signature = signing.sign(described, key)
    (folder / signing.NAME).write_bytes(signature)
    signed = signing.with_signature(described, signature)
    write_description(folder, signed)
    return signed


def _placed(described: ArtifactSet, draft: Path, into: Path) -> ArtifactSet:
    """A version means one content: what is already called so is not replaced by another."""
    target = into / described.name
    if not target.exists():
        draft.rename(target)
    elif not (there := target / DESCRIPTION).is_file() or there.read_bytes() != described.to_json():
        raise PackageError(
            f"{target} is there already, and is another set",
            next_action="raise the version in application.toml; or remove the folder if nobody has it yet",
        )
    return described

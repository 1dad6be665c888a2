"""What no set names may go; what might be named may not."""

from appliance.registry.contents import Image, blobs_of, bytes_of, named_by, unnamed
from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile, SetImage
from images.oci.parts import Document, Part

A, B, C, D = (f"sha256:{letter * 64}" for letter in "abcd")
SHARED, OWN = Part(digest=C, size=100), Part(digest=D, size=10)


def image(repository: str, digest: str, *blobs: Part) -> Image:
    document = Document(digest=digest, media="m", raw=b"{}", blobs=blobs)
    return Image(named=SetImage(repository=repository, tag="1", digest=digest), documents=(document,))


IMAGES = (image("x", A, SHARED, OWN), image("y", B, SHARED, SHARED))


def test_what_images_share_counts_once() -> None:
    described = ArtifactSet(
        engine=Engine.K3S,
        version="1.2",
        arch="amd64",
        provenance=Provenance.STAND_IN,
        files=(SetFile(name="k3s", role="k3s", size=1000, sha256="0" * 64),),
        images=tuple(one.named for one in IMAGES),
    )
    assert blobs_of(IMAGES) == (SHARED, OWN)
    assert bytes_of(described, IMAGES) == 1110


def test_what_no_set_names_goes() -> None:
    held = {"x": frozenset({A, B}), "y": frozenset({B}), "z": frozenset({A})}
    assert unnamed(held, named_by(IMAGES), frozenset()) == {"x": frozenset({B}), "z": frozenset({A})}


def test_nothing_goes_where_it_is_not_known_what_is_named() -> None:
    held = {"x": frozenset({A, B}), "z": frozenset({A})}
    assert unnamed(held, named_by(IMAGES), frozenset({"x"})) == {"z": frozenset({A})}

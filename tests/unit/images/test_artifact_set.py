"""A description is read in its only form, and nothing that could lead out of its folder or its registry gets in."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from images.artifact_set import ArtifactSet, Engine, Provenance, SetFile, SetImage, read_set
from images.errors import SetError

DIGEST = "sha256:" + "a" * 64
SET = ArtifactSet(
    engine=Engine.KUBEADM,
    version="v1.20.2",
    arch="amd64",
    provenance=Provenance.REBUILT,
    files=(SetFile(name="kubelet", role="kubelet", size=7, sha256="b" * 64),),
    images=(SetImage(repository="k8s/pause", tag="3.2", digest=DIGEST),),
)


def test_it_comes_back_as_it_was() -> None:
    assert read_set(SET.to_json()) == SET
    assert SET.of_role("kubelet") == SET.files
    assert SET.images[0].name == "k8s/pause:3.2"


@pytest.mark.parametrize("version", ["v1.20.2", "1.9", "4.22.0-okd-scos.10", "v1.33.4+k3s1", "5.0.0-okd-scos.0"])
def test_engines_write_versions_in_many_ways(version: str) -> None:
    assert read_set(replace(SET, version=version).to_json()).version == version


def test_an_application_has_a_name_of_its_own() -> None:
    web = replace(SET, engine=Engine.APPLICATION, version="1.2.0", application="web")
    assert read_set(web.to_json()) == web
    assert web.name == "web-1.2.0-amd64"
    assert b"application" not in SET.to_json()


@pytest.mark.parametrize(
    ("engine", "application"),
    [(Engine.APPLICATION, ""), (Engine.APPLICATION, "kubeadm"), (Engine.APPLICATION, "a b"), (Engine.KUBEADM, "web")],
)
def test_no_application_passes_for_an_engine(engine: Engine, application: str) -> None:
    with pytest.raises(SetError):
        replace(SET, engine=engine, application=application)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../kubelet", "a/b", ".hidden", "-rf", "a b", "a\n", "set.json", "oci", "x" * 129]
)
def test_a_file_lies_in_the_folder(name: str) -> None:
    with pytest.raises(SetError):
        SetFile(name=name, role="kubelet", size=1, sha256="b" * 64)


@pytest.mark.parametrize(
    ("repository", "tag", "digest"),
    [
        ("", "1", DIGEST),
        ("k8s/../pause", "1", DIGEST),
        ("K8s", "1", DIGEST),
        ("a//b", "1", DIGEST),
        ("host:5000/a", "1", DIGEST),
        ("a", "", DIGEST),
        ("a", "-1", DIGEST),
        ("a", "1", "sha256:abc"),
        ("a", "1", "md5:" + "a" * 64),
    ],
)
def test_an_image_is_named_as_a_registry_names_it(repository: str, tag: str, digest: str) -> None:
    with pytest.raises(SetError):
        SetImage(repository=repository, tag=tag, digest=digest)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-1],
        lambda text: text.replace(b'"engine": "kubeadm"', b'"engine": "nomad"'),
        lambda text: text.replace(b'"size": 7', b'"size": true'),
        lambda text: text.replace(b'"size": 7', b'"size": -1'),
        lambda text: text.replace(b'"arch": "amd64",', b""),
        lambda text: text.replace(b"{", b'{"more": 1,', 1),
        lambda text: text.replace(b"v1.20.2", b"latest"),
        lambda text: b"[" * 100_000,
        lambda text: b" " * (9 << 20),
        lambda text: b"\xff" + text,
    ],
)
def test_nothing_else_is_one(change: Callable[[bytes], bytes]) -> None:
    with pytest.raises(SetError):
        read_set(change(SET.to_json()))


def test_no_name_stands_in_it_twice() -> None:
    with pytest.raises(SetError):
        replace(SET, files=SET.files * 2)
    with pytest.raises(SetError):
        replace(SET, images=SET.images * 2)

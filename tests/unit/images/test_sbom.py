"""The SBOM by its structure; tests/image/test_release.py gives a whole one to CycloneDX's own validator."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from images.appliance.sbom import Contents, Inside, Line, document, lines
from images.errors import ImageFormatError
from images.packages import Package
from images.store import Artifact
from images.wheels import Wheel

ZSTD = Package(
    name="zstd", version="1:1.5.7+dfsg-1", architecture="amd64", source="libzstd", sha256="ab" * 32, licences=("MIT",)
)
GRUB = Package(name="grub-pc-bin", version="2.06", architecture="amd64", source="grub2", sha256="")
CONTENTS = Contents(
    name="innervate-appliance",
    version="0.1.0",
    identity="5e" * 32,
    suite="trixie",
    packages=(ZSTD, GRUB),
    wheels=(Wheel(name="typer", version="0.29.2", file="typer-0.29.2-py3-none-any.whl", sha256="cd" * 32),),
    inside=(
        Inside(
            name="ramdisk",
            description="The discovery ramdisk.",
            files=(Artifact(name="vmlinuz", sha256="ef" * 32, size=3, media="application/octet-stream"),),
            packages=(ZSTD,),
        ),
    ),
)


def components(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for component in value.get("components", ()):
        yield component
        yield from components(component)


def test_every_part_is_named_once_and_found_from_the_image() -> None:
    value = json.loads(document(CONTENTS))
    assert (value["bomFormat"], value["specVersion"], value["version"]) == ("CycloneDX", "1.6", 1)
    refs = [component["bom-ref"] for component in components(value)]
    assert len(refs) == len(set(refs)) == 7
    whole = value["metadata"]["component"]["bom-ref"]
    assert {row["ref"] for row in value["dependencies"]} <= {whole, *refs}
    assert all(set(row["dependsOn"]) <= set(refs) for row in value["dependencies"])
    assert set(value["dependencies"][0]["dependsOn"]) == {one["bom-ref"] for one in value["components"]}


def test_a_package_says_where_it_is_from_and_under_what_licence() -> None:
    found = {component["bom-ref"]: component for component in components(json.loads(document(CONTENTS)))}
    purl = "pkg:deb/debian/zstd@1:1.5.7%2Bdfsg-1?arch=amd64&distro=trixie"
    assert found[purl]["purl"] == found[f"ramdisk/{purl}"]["purl"] == purl
    assert found[purl]["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert found[purl]["licenses"] == [{"license": {"name": "MIT"}}]
    assert found["pkg:pypi/typer@0.29.2"]["hashes"] == [{"alg": "SHA-256", "content": "cd" * 32}]
    unknown = found["pkg:deb/debian/grub-pc-bin@2.06?arch=amd64&distro=trixie"]
    assert not {"hashes", "licenses"} & unknown.keys()


def test_the_same_contents_give_the_same_document() -> None:
    assert document(CONTENTS) == document(replace(CONTENTS))
    assert document(CONTENTS) != document(replace(CONTENTS, identity="5f" * 32))


def test_a_person_reads_packages_and_where_they_are() -> None:
    assert lines(document(CONTENTS)) == (
        Line(place="", name="innervate", version="0.1.0", licences=("Apache-2.0",)),
        Line(place="", name="typer", version="0.29.2", licences=()),
        Line(place="", name="zstd", version=ZSTD.version, licences=("MIT",)),
        Line(place="", name="grub-pc-bin", version="2.06", licences=()),
        Line(place="ramdisk", name="zstd", version=ZSTD.version, licences=("MIT",)),
    )


@pytest.mark.parametrize("text", ["", "[]", '{"bomFormat": "SPDX"}', '{"bomFormat": "CycloneDX", "components": [1]}'])
def test_another_document_is_refused(text: str) -> None:
    with pytest.raises(ImageFormatError):
        lines(text)

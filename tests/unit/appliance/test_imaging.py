"""`innervate image build` and `sbom`, as far as no image has to be built for it."""

import json
from pathlib import Path

import pytest

from appliance.cli.exits import Exit
from appliance.verbs import main

DOCUMENT = {
    "bomFormat": "CycloneDX",
    "components": [
        {"type": "library", "name": "zstd", "version": "1.5.7", "licenses": [{"license": {"name": "BSD-3-clause"}}]},
        {"name": "ramdisk", "components": [{"type": "library", "name": "kmod", "version": "34"}]},
    ],
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "appliance.cdx.json"
    path.write_text(json.dumps(DOCUMENT))
    return path


def test_sbom_shows_packages_with_licence_and_place(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "sbom", str(file)]) == Exit.OK
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [["zstd", "1.5.7", "BSD-3-clause"], ["ramdisk", "kmod", "34"]]


def test_sbom_as_json_is_the_document_itself(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["image", "sbom", str(file), "--json"]) == Exit.OK
    assert capsys.readouterr().out == file.read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["image", "sbom", "/nowhere/sbom.json"], Exit.NOT_FOUND, "cannot be read"),
        (["image", "sbom", "--store", "/nowhere"], Exit.NOT_FOUND, "innervate image build appliance"),
        (["image", "sbom", __file__], Exit.FAILURE, "no SBOM"),
        (["image", "build", "appliance"], Exit.USAGE, "missing Debian packages: apt,"),
    ],
    ids=["no-file", "nothing-built", "no-sbom", "no-means"],
)
def test_what_cannot_be_is_said_with_what_helps(
    arguments: list[str],
    status: Exit,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("images.means.SBIN", ())
    assert main(arguments) == status
    assert said in capsys.readouterr().err

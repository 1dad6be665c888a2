"""`innervate package`: what it makes, what it says, and whose fault it says it is."""

import json
from pathlib import Path

import pytest

from appliance.verbs import main
from images.artifact_set import read_set
from images.mirror import OVERRIDE
from images.signature import read_public
from tests.packages import plain_example

NAME = "web-1.0.0-amd64"


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv(OVERRIDE, "no mirror: nothing is taken from it")
    source = plain_example(tmp_path / "source")
    kept = ["--key", str(tmp_path / "keys/mine.key"), "--store", str(tmp_path / "store")]
    return ["package", "build", str(source), "--into", str(tmp_path / "sets"), *kept]


def test_a_package_is_built_and_checked(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    public = tmp_path / "keys/mine.pub"
    folder = tmp_path / "sets" / NAME
    told = capsys.readouterr().out
    assert told == (
        f"{folder}: 4 files, 1 images\nsigned; whoever has to trust it states {read_public(public.read_text()).line}\n"
    )
    assert main([*words, "--json"]) == 0
    made = read_set(capsys.readouterr().out.encode())
    assert made.to_json() == (folder / "set.json").read_bytes()
    check = ["package", "check", str(folder), "--key", str(public)]
    assert main(check) == 0
    assert capsys.readouterr().out == f"{NAME}: whole, and signed with this key\n"
    largest = max((folder / "oci/blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    assert main([*check, "--json"]) == 2
    assert " is not what " in capsys.readouterr().err


def test_a_key_of_somebody_else(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    other = [*words[:4], str(tmp_path / "other"), "--key", str(tmp_path / "keys/other.key"), *words[7:]]
    assert main(other) == 0
    assert (tmp_path / "other" / NAME / "oci/index.json").read_bytes() == (
        tmp_path / "sets" / NAME / "oci/index.json"
    ).read_bytes()
    for key in (tmp_path / "keys/other.pub", tmp_path / "nowhere"):
        assert main(["package", "check", str(tmp_path / "sets" / NAME), "--key", str(key)]) == 2
        assert "next: " in capsys.readouterr().err


def test_what_the_author_has_to_mend_and_what_the_machine_lacks(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stated = tmp_path / "source/application.toml"
    whole = stated.read_text()
    stated.write_text(f"vresion = '1'\n{whole}")
    assert main(words) == 2
    assert "application.toml: vresion: unknown key" in capsys.readouterr().err
    stated.write_text(whole.replace('at = "/www"', 'at = "/www"\npackages = ["busybox-static"]'))
    assert main(words) == 1
    assert json.dumps(OVERRIDE)[1:-1] in capsys.readouterr().err
    assert not (tmp_path / "sets").exists()

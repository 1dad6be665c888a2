"""A set is tried and what came of it signed: the stand-in passes, and says that it is one; what is broken is named."""

import json
from pathlib import Path

import pytest

from appliance.acceptance.okd import OkdAcceptance
from appliance.acceptance.result import Assertion, Result
from appliance.verbs import main
from images.engine import Provenance
from images.keys import ensure_key
from images.processes import HostProcesses
from images.signature import verify
from tests.okd.sets import stand_in_set
from tests.okd.standin import installer

NAMES = (
    *("release", "contents", "hashes", "payload", "installer", "stream", "highly available", "compact", "single node"),
    *("agents", "strictness", "client"),
)


@pytest.mark.long
def test_the_stand_in_passes_every_assertion_and_its_signed_result_says_what_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the set says of itself."""
    stand_in_set(tmp_path / "okd", Provenance.GENUINE)
    key, output = tmp_path / "keys/k.key", tmp_path / "result.json"
    words = ["accept", "okd", "--set", str(tmp_path / "okd"), "--output", str(output), "--key", str(key)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == f"okd {installer.VERSION}, STAND-IN: its programs are none of OKD's"
    result = json.loads(output.read_text())
    assert [one["name"] for one in result["assertions"] if one["passed"]] == list(NAMES), shown
    assert (result["passed"], result["provenance"]) == (True, "STAND-IN")
    with output.open("rb") as content:
        signature = output.with_name("result.json.minisig").read_text()
        comment = verify(ensure_key(key).public, content, signature)
    assert comment == f"innervate accept okd {installer.VERSION}: passed, STAND-IN"


def accepted(folder: Path) -> Result:
    work = folder.parent / "work"
    work.mkdir()
    return OkdAcceptance(folder, work, HostProcesses(), installer.Authority("mirror").pem).run(1000.0)


def _tamper(folder: Path) -> None:
    path = folder / "scos-live-rootfs.x86_64.img"
    path.write_bytes(b"x" + path.read_bytes()[1:])


def test_what_is_not_so_fails_by_name_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    stand_in_set(tmp_path / "okd")
    _tamper(tmp_path / "okd")
    (tmp_path / "okd/oc").unlink()
    result = accepted(tmp_path / "okd")
    assert {one.name for one in result.assertions if one.passed} == {"release", "contents", "payload"}
    found = {one.name: one.said for one in result.assertions}
    assert "of the set cannot be read" in found["hashes"] or "is not what the set says" in found["hashes"]
    assert result.comment.endswith("failed, STAND-IN")


def test_a_result_holds_no_name_of_a_site() -> None:
    result = Result(
        engine="okd",
        version="4.19.0-okd-scos.10",
        provenance="GENUINE",
        standing="genuine",
        appliance="1",
        made=0.0,
        files={"oc": "a1" * 32},
        assertions=(Assertion(name="release", passed=True, said="it is"),),
    )
    assert json.loads(result.to_json())["made"] == "1970-01-01T00:00:00+00:00"
    assert result.lines[1] == "ok     release: it is"

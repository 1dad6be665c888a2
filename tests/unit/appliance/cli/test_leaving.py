"""`innervate site leave`, `innervate hand-over`, `innervate appliance reset`."""

import base64
import io
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, served
from appliance.backup.envelope import Sealing
from appliance.cli.exits import Exit
from appliance.model.leaving_views import Erasure, Fate, LeftBmcView
from appliance.model.secret import Secret
from appliance.system import SystemRng
from appliance.verbs import main

PHRASE = "a phrase for the hand-over"
TEXT = "Log-ins\n\nhttps://10.0.0.9  root  new  handed-over\n"


def sealed() -> str:
    out = io.BytesIO()
    sealing = Sealing(out, Secret(PHRASE), SystemRng(), cost=10)
    sealing.write(TEXT.encode())
    sealing.finish()
    return base64.b64encode(out.getvalue()).decode()


def left(fate: Fate, problem: str = "") -> LeftBmcView:
    return LeftBmcView(url="https://10.0.0.9", machine="node-0", user="root", fate=fate, problem=problem)


@pytest.fixture
def phrase(tmp_path: Path) -> list[str]:
    (tmp_path / "phrase").write_text(f"{PHRASE}\n")
    return ["--passphrase-file", str(tmp_path / "phrase")]


@pytest.mark.parametrize(
    ("fate", "said", "status"),
    [
        (Fate.HANDED_OVER, "the appliance's is refused", Exit.OK),
        (Fate.YOURS, "unchanged", Exit.OK),
        (Fate.NOT_PROVEN, "IS STILL TAKEN", Exit.PARTIAL),
        (Fate.NOT_REACHED, "NOT REACHED", Exit.PARTIAL),
    ],
)
def test_what_was_not_proven_is_no_success(
    tmp_path: Path, phrase: list[str], capsys: pytest.CaptureFixture[str], fate: Fate, said: str, status: Exit
) -> None:
    application, file = FakeApplication(), tmp_path / "hand-over.sealed"
    application.leaving_desk.bmcs = (left(fate, "no\x1b[2J answer"),)
    application.leaving_desk.hand_over = sealed()
    with served(application, tmp_path / "api.sock"):
        asked = ["--socket", str(tmp_path / "api.sock"), "site", "leave", str(file), "--confirm", "lab", *phrase]
        assert main(asked) == status
        told = capsys.readouterr().out
        assert main(asked) == Exit.USAGE, "what is in the file already is not lost"
    assert said in told
    assert "\x1b" not in told
    assert [request.passphrase for request in application.leaving_desk.left] == [PHRASE]
    assert file.stat().st_mode & 0o777 == 0o600
    capsys.readouterr()
    assert main(["hand-over", str(file), *phrase]) == Exit.OK
    assert capsys.readouterr().out == TEXT


@pytest.mark.parametrize("name", ["", "rack"])
def test_without_the_sites_name_nothing_happens(tmp_path: Path, phrase: list[str], name: str) -> None:
    application, file = FakeApplication(), tmp_path / "hand-over.sealed"
    confirm = ["--confirm", name] if name else []
    with served(application, tmp_path / "api.sock"):
        socket = ["--socket", str(tmp_path / "api.sock")]
        assert main([*socket, "site", "leave", str(file), *confirm, *phrase]) == Exit.REFUSED
        assert main([*socket, "appliance", "reset", *confirm]) == Exit.REFUSED
    assert (application.leaving_desk.left, application.leaving_desk.erased) == ([], 0)
    assert not file.exists()


@pytest.mark.parametrize(("erases", "said"), [(Erasure.DISK, "first questions"), (Erasure.FOLDER, "state folder")])
def test_a_reset_says_what_goes(tmp_path: Path, capsys: pytest.CaptureFixture[str], erases: Erasure, said: str) -> None:
    application = FakeApplication()
    application.leaving_desk.erases = erases
    with served(application, tmp_path / "api.sock"):
        assert main(["--socket", str(tmp_path / "api.sock"), "appliance", "reset", "--confirm", "lab"]) == Exit.OK
    assert said in capsys.readouterr().out
    assert application.leaving_desk.erased == 1

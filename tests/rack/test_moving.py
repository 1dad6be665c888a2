"""Another appliance goes on with the rack, from a backup that was made in the middle of a run."""

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.lab.demo import make_key
from appliance.lab.rack import Rack
from appliance.lab.spec import RackFirmware, RackSpec
from appliance.model.hardware import Firmware
from appliance.model.views import RunState
from tests.rack.test_provision import ROOT, Bench, discover, entered, follow, step_of, written

pytestmark = [pytest.mark.rack, pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture
def rack(rack_firmware: RackFirmware, tmp_path: Path) -> Iterator[Rack]:
    (tmp_path / "rack").mkdir()
    spec = RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=tmp_path / "rack", files=rack_firmware)
    with Rack.start(spec) as rack:
        yield rack


def backup(*words: str | Path, phrase: Path) -> str:
    argv = [sys.executable, "-m", "appliance.main", "backup", *map(str, words), "--passphrase-file", str(phrase)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_another_appliance_goes_on_with_the_rack(rack: Rack, tmp_path: Path) -> None:
    """The image was on its way to the machine when the backup was made, and the old appliance died after it."""
    phrase, file = tmp_path / "phrase", tmp_path / "rack.backup"
    phrase.write_text("the rack moves house\n")
    old = Bench(rack, made(tmp_path / "old"))
    with old.daemon() as process:
        discover(old)
        run = old.client.apply(old.client.make_plan().digest)
        old.until(lambda: written(old) > 0, "image on its way", 120)
        backup("create", file, "--config", old.folder / "innervate.toml", phrase=phrase)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    new = Bench(rack, restored(file, phrase, tmp_path / "new"))
    shutil.rmtree(old.folder)
    with new.daemon():
        assert {each.id for each in new.client.runs().runs} >= {run.id}
        ended = follow(new)(new.client.run(run.id))
        assert ended.state is RunState.DONE, new.log()
        assert step_of(ended, "write-image").fence == 2
        assert new.client.machine("node-0").phase.value == "active"
        assert entered(new) == "node-0"
        assert not new.client.make_plan().steps


def made(folder: Path) -> Path:
    folder.mkdir()
    make_key(folder)
    shutil.copy2(folder.parent / "rack" / "rack.json", folder)
    return folder


def restored(file: Path, phrase: Path, folder: Path) -> Path:
    """Its key stood beside the old state folder, and stands beside the new one."""
    folder.mkdir()
    backup("restore", file, folder / "state", phrase=phrase)
    for name in ("id_ed25519", "id_ed25519.pub"):
        (kept,) = (folder / "state" / "restored").glob(f"*-{name}")
        shutil.copy2(kept, folder / name)
    shutil.copy2(folder.parent / "rack" / "rack.json", folder)
    return folder

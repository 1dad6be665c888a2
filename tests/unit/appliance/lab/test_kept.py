"""A lab that stays: found again, ended, and never mistaken for another process. Stand-ins hold no rack."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import ConflictError, MachineryError, NotFoundError
from appliance.lab import demo
from appliance.lab.kept import Lab, Wanted, argv_of, down, found, tell, up
from appliance.lab.spec import MAX_NODES
from appliance.lab.verbs import Bmc, Firmware
from appliance.main import main

WANTED = Wanted(nodes=3, firmware="bios", bmc="both")
HOLDS = """
import os, signal, sys
from pathlib import Path
from appliance.lab.kept import Lab, Wanted, tell
folder = Path(sys.argv[2])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
wanted = Wanted(nodes=3, firmware="bios", bmc="both")
tell(folder, Lab(pid=os.getpid(), socket=folder / "api.sock", wanted=wanted))
signal.pause()
"""


def stand_in(folder: Path, script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script, "appliance.lab.kept", str(folder))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = up(tmp_path, stand_in(tmp_path, HOLDS))
    yield lab
    if found(tmp_path) is not None:
        down(tmp_path)
    os.waitpid(lab.pid, 0)


def test_a_lab_is_found_and_ended(lab: Lab, tmp_path: Path) -> None:
    assert found(tmp_path) == lab == Lab(pid=lab.pid, socket=tmp_path / "api.sock", wanted=WANTED)
    with pytest.raises(ConflictError, match="a lab runs in"):
        up(tmp_path, stand_in(tmp_path, HOLDS))
    assert down(tmp_path) == lab
    assert found(tmp_path) is None
    with pytest.raises(NotFoundError, match="no lab runs"):
        down(tmp_path)


def test_what_it_said_when_it_did_not_come_up(tmp_path: Path) -> None:
    with pytest.raises(MachineryError) as caught:
        up(tmp_path, stand_in(tmp_path, "import sys; sys.exit('error: needs root')"))
    assert "error: needs root" in caught.value.evidence


@pytest.mark.parametrize("pid", [os.getpid(), 1, (1 << 22) + 1], ids=["alive", "init", "nobody"])
def test_another_process_with_its_number_is_no_lab(pid: int, tmp_path: Path) -> None:
    tell(tmp_path, Lab(pid=pid, socket=tmp_path / "api.sock", wanted=WANTED))
    assert found(tmp_path) is None


@pytest.mark.parametrize("firmware", Firmware)
@pytest.mark.parametrize("bmc", Bmc)
def test_what_is_wanted_is_what_the_demo_can_do(firmware: Firmware, bmc: Bmc, tmp_path: Path) -> None:
    wanted = Wanted(nodes=MAX_NODES, firmware=firmware.value, bmc=bmc.value)
    *_, nodes, kind, control = argv_of(tmp_path, wanted)
    options = demo.parse(["--nodes", nodes, "--firmware", kind, "--bmc", control])
    assert (options.nodes, options.firmware.value == "bios") == (MAX_NODES, firmware is Firmware.BIOS)


def test_verbs(lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--folder", str(tmp_path))
    assert main(["lab", "status", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["pid"] == lab.pid
    assert main(["lab", "down", *where]) == 0
    assert capsys.readouterr().out == f"the lab in {tmp_path} is down; `innervate lab up` goes on where it was\n"
    assert main(["lab", "status", *where]) == 0
    assert capsys.readouterr().out == f"no lab runs in {tmp_path}; `innervate lab up` starts one\n"
    assert main(["lab", "down", *where]) == 4
    assert main(["lab", "up", "--nodes", str(MAX_NODES + 1), *where]) == 2

"""Our units under systemd's own judgement (systemd-analyze(1), security)."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[3] / "images/appliance/files/usr/lib/systemd/system"
SERVICES = sorted(UNITS.glob("*.service"))
EXPOSURE = 2.5
ANALYZE = shutil.which("systemd-analyze")


@pytest.mark.skipif(ANALYZE is None, reason="NOT TESTED: how exposed our units are, without systemd-analyze")
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_a_unit_is_hardly_exposed(unit: Path, tmp_path: Path) -> None:
    """A template is looked at as an instance of it, which is another file name."""
    looked_at = tmp_path / unit.name.replace("@.", "@tty1.")
    shutil.copyfile(unit, looked_at)
    argv = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(looked_at)]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    overall = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said)
    assert overall is not None, said
    assert float(overall[1]) <= EXPOSURE, "\n".join(line for line in said.splitlines() if "✗" in line)


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_who_faces_people_or_the_network_is_not_root(unit: Path) -> None:
    text = unit.read_text()
    faces = "PrivateNetwork=yes" not in text
    assert ("User=innervate\n" in text) is faces
    assert "NoNewPrivileges=yes\n" in text


def test_the_daemon_may_send_frames_and_nothing_else() -> None:
    text = (UNITS / "innervate.service").read_text()
    assert re.findall(r"^(?:Ambient|Bounding|CapabilityBounding)\w+=(.*)$", text, re.MULTILINE) == ["CAP_NET_RAW"] * 2

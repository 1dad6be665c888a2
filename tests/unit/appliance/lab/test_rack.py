"""What a rack asks of its host before it touches anything."""

import os
import shutil
from pathlib import Path

import pytest

from appliance.errors import UsageError
from appliance.lab.rack import Rack
from appliance.lab.spec import RackSpec
from appliance.model.hardware import Firmware

SPEC = RackSpec(nodes=1, firmware=Firmware.BIOS, workdir=Path("/nonexistent/rack"))


def test_rack_without_root_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="needs root") as caught:
        Rack.start(SPEC)
    assert caught.value.next_action


def test_rack_without_its_tools_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match="more tools") as caught:
        Rack.start(SPEC)
    assert "qemu-system-x86" in caught.value.next_action
    assert not SPEC.workdir.exists()

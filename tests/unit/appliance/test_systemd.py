"""Readiness as systemd hears it."""

import socket
from pathlib import Path

import pytest

from appliance.systemd import VARIABLE, tell_ready


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    name = f"@{tmp_path}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name[1:] if abstract else name)
        systemd.settimeout(5)
        monkeypatch.setenv(VARIABLE, name)
        tell_ready()
        assert systemd.recv(64) == b"READY=1"


@pytest.mark.parametrize("name", ["", "notify", "/nowhere/at/all"])
def test_without_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(VARIABLE, name)
    tell_ready()

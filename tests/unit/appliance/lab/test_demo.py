from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.config import load
from appliance.errors import AbsentError, MachineryError
from appliance.lab.demo import Options, daemon_config, parse, wait_until_ready
from appliance.lab.spec import BmcKind, UefiKind
from appliance.model.hardware import Firmware
from appliance.model.views import HealthView


def test_parse() -> None:
    assert parse([]) == Options(
        nodes=2,
        firmware=Firmware.UEFI,
        uefi=UefiKind.PXE,
        bmcs=(BmcKind.REDFISH,),
        headless=False,
        json="",
        keep=False,
    )
    given = parse(["--nodes", "4", "--firmware", "bios", "--bmc", "both", "--headless", "--json", "-", "--keep"])
    assert given == Options(
        nodes=4,
        firmware=Firmware.BIOS,
        uefi=UefiKind.PXE,
        bmcs=(BmcKind.REDFISH, BmcKind.IPMI),
        headless=True,
        json="-",
        keep=True,
    )


def test_parse_http_boot() -> None:
    given = parse(["--firmware", "http"])
    assert (given.firmware, given.uefi) == (Firmware.UEFI, UefiKind.HTTP)


def test_the_daemon_reads_its_configuration(tmp_path: Path) -> None:
    settings = load(daemon_config(tmp_path, socket=tmp_path / "api.sock", key=tmp_path / "key"))
    assert settings.socket == tmp_path / "api.sock"
    assert settings.key == tmp_path / "key"
    assert settings.site.is_file()
    assert settings.state_dir.is_dir()


def answers(*ready: bool | None) -> Callable[[], HealthView]:
    """One look each; None: nobody answers."""
    looks = iter(ready)

    def health() -> HealthView:
        state = next(looks)
        if state is None:
            raise AbsentError("no daemon")
        return HealthView(version="", ready=state, started=0, rss_bytes=0, site="")

    return health


def test_waits_for_the_daemon(tmp_path: Path) -> None:
    passed: list[float] = []
    seconds = wait_until_ready(
        answers(None, False, True), lambda: True, tmp_path / "log", lambda: sum(passed), passed.append
    )
    assert len(passed) == 2
    assert seconds == sum(passed)


def test_a_dead_daemon_shows_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("no such device br0")
    with pytest.raises(MachineryError) as raised:
        wait_until_ready(answers(None), lambda: False, log)
    assert raised.value.evidence == "no such device br0"

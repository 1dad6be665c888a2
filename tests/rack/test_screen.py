"""The screen of a machine that starts real firmware, through its BMC; and a machine without one beside it."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from appliance.bmc.redfish import RedfishBmc, RedfishDialler
from appliance.errors import BmcError, BmcUnsupportedError
from appliance.lab.rack import Rack
from appliance.lab.spec import RackFirmware, RackNode, RackSpec
from appliance.model.bmc import PowerCommand
from appliance.model.hardware import Firmware
from appliance.system import SystemClock

T = TypeVar("T")
pytestmark = [
    pytest.mark.rack,
    pytest.mark.long,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: screens of the rack, which needs root"),
]


def asked(rack: Rack, node: RackNode, ask: Callable[[RedfishBmc], Awaitable[T]]) -> T:
    async def whole() -> T:
        dialler = RedfishDialler(SystemClock())
        try:
            return await ask(dialler.dial(node.bmc))
        finally:
            await dialler.close()

    return rack.inside(lambda: asyncio.run(whole()))


def test_what_firmware_shows_is_seen(rack_firmware: RackFirmware, tmp_path: Path) -> None:
    spec = RackSpec(nodes=2, firmware=Firmware.UEFI, workdir=tmp_path, files=rack_firmware, screens=(0,))
    with Rack.start(spec) as rack:
        seeing, blind = rack.nodes
        with pytest.raises(BmcUnsupportedError, match="gives no picture"):
            asked(rack, blind, lambda bmc: bmc.screen())
        with pytest.raises(BmcError) as caught:
            asked(rack, seeing, lambda bmc: bmc.screen())
        assert "node-0 is off" in caught.value.evidence
        asked(rack, seeing, lambda bmc: bmc.command(PowerCommand.ON))
        pictures = {asked(rack, seeing, lambda bmc: bmc.screen())}
        pace, deadline = threading.Event(), time.monotonic() + 120
        while len(pictures) < 3:
            assert time.monotonic() < deadline, "what it shows does not change while it starts"
            pace.wait(1)
            pictures.add(asked(rack, seeing, lambda bmc: bmc.screen()))
        assert list(seeing.spec.folder.glob("screen*")) == []
        if folder := os.environ.get("INNERVATE_SCREENS"):
            (Path(folder) / "machine.png").write_bytes(max(pictures, key=len))

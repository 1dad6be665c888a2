"""Firmware of the rack's machines."""

import os
from pathlib import Path

import pytest

from appliance.lab.spec import RackFirmware


@pytest.fixture(scope="session")
def rack_firmware() -> RackFirmware:
    """Files unpacked from Debian's `ovmf` and `ipxe-qemu`, below the folder that INNERVATE_RACK_FIRMWARE names."""
    folder = os.environ.get("INNERVATE_RACK_FIRMWARE")
    if folder is None:
        pytest.skip("INNERVATE_RACK_FIRMWARE names no firmware folder")
    share = Path(folder) / "usr" / "share"
    return RackFirmware(
        ovmf_code=share / "OVMF" / "OVMF_CODE_4M.fd",
        ovmf_vars=share / "OVMF" / "OVMF_VARS_4M.fd",
        virtio_rom=share / "qemu" / "efi-virtio.rom",
    )

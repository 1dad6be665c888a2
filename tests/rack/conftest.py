"""What the rack's tests share: firmware and images from the artefact store, built at first use."""

import os

import pytest

from appliance.lab.demo import ensure_images
from appliance.lab.spec import RackFirmware


def pytest_runtest_setup() -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a virtual rack needs root for its namespaces")


@pytest.fixture(scope="session")
def rack_firmware() -> RackFirmware:
    return ensure_images()

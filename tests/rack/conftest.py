"""What the rack's tests share: firmware and images from the artefact store, built at first use."""

import os
from collections.abc import Iterator

import pytest

from appliance.lab.demo import ensure_images
from appliance.lab.spec import RackFirmware
from tests.rack.fleet import Fleet, running_fleet


def pytest_runtest_setup() -> None:
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a virtual rack needs root for its namespaces")


@pytest.fixture(scope="session")
def rack_firmware() -> RackFirmware:
    return ensure_images()


@pytest.fixture(scope="session")
def fleet(rack_firmware: RackFirmware, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(rack_firmware, tmp_path_factory.mktemp("fleet")) as made:
        yield made

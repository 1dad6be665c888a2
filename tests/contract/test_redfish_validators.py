"""DMTF's validators find nothing wrong with the service before simulated machines, as one BMC and as an aggregator."""

import asyncio
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.contract.redfish_validators import Run, protocol_failures, service_failures
from tests.contract.test_redfish_service import PASSWORD, USER, serving

Validate = Callable[[Run, str, str, str, Path, Path], list[str]]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("validate", [protocol_failures, service_failures])
@pytest.mark.parametrize(
    ("machines", "aggregates"),
    [pytest.param(1, False, id="one"), pytest.param(2, True, id="many", marks=pytest.mark.long)],
)
def test_validators(validate: Validate, machines: int, aggregates: bool, tmp_path: Path) -> None:
    def run(argv: Sequence[str], env: Mapping[str, str]) -> str:
        done = subprocess.run(
            argv, capture_output=True, text=True, env=dict(env), timeout=400, cwd=tmp_path, check=False
        )
        return done.stdout + done.stderr

    async def whole() -> list[str]:
        reports = tmp_path / "reports"
        reports.mkdir()
        async with serving(tmp_path, machines, aggregates=aggregates) as served:
            return await asyncio.to_thread(validate, run, served.url, USER, PASSWORD, served.authority, reports)

    assert asyncio.run(whole()) == []

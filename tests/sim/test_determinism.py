"""A seed is a run: the same events at the same times in another process, whatever its hashes of texts are."""

import json
import os
import subprocess
import sys

import pytest


def run(seed: int, hash_seed: str) -> dict[str, object]:
    argv = [sys.executable, "-m", "appliance.sim", "--machines", "7", "--seed", str(seed), "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("seed", [3, 11, 24])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    first, second = run(seed, "1"), run(seed, "4711")
    assert first["event_hash"] == second["event_hash"]
    assert first["events"] == second["events"] != 0
    assert run(seed + 1, "1")["event_hash"] != first["event_hash"]

"""A seed is a run: the same events at the same times in another process, whatever its hashes of texts are."""

import json
import os
import subprocess
import sys


def run(seed: int, hash_seed: str) -> dict[str, object]:
    argv = [sys.executable, "-m", "appliance.sim", "--machines", "7", "--seed", str(seed), "--json"]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    report: dict[str, object] = json.loads(done.stdout)
    return report


def test_the_same_seed_is_the_same_run_and_another_one_is_not() -> None:
    hashes = {once(seed) for seed in (3, 11, 24)}
    assert len(hashes) == 3


def once(seed: int) -> object:
    first, second = run(seed, "1"), run(seed, "4711")
    assert first["event_hash"] == second["event_hash"]
    assert first["events"] == second["events"] != 0
    return first["event_hash"]

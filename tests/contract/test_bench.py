"""Every bench runs to its end on this machine, leaves nothing behind and says what it measured."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.cases import CASES

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.parametrize("name", CASES)
def test_quick_bench(name: str) -> None:
    argv = [sys.executable, "-m", "tests.bench", name, "--quick", "--json"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=850, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    document = json.loads(done.stdout)
    assert document["name"] == name
    assert document["quick"] is True
    assert len(document["rounds"]) == 1
    for run in document["rounds"][0]:
        assert run["error"] == ""
        assert run["metrics"]["rss_mib"] > 0
        side = "ours" if run["contender"] in document["ours"] else "peers"
        assert document[side][run["contender"]][run["case"]] == run["metrics"]
    for goal in document["goals"].values():
        assert isinstance(goal["value"], float | int)
        assert isinstance(goal["met"], bool)
        assert goal["goal"] >= 0

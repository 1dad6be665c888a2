"""A request that is sent again after the daemon was killed with SIGKILL: exactly one effect, at every moment."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path

import pytest

from appliance.store.log import Log
from appliance.store.records import RequestHonoured, RunStarted
from appliance.system import SystemClock
from tests.contract.mortal_api import Moment

ROOT = Path(__file__).parents[2]
ON, KEY = b'{"action":"on"}', "c0ffee-1"
POWER = "/v1/machines/node-0/power"


@contextmanager
def daemon(folder: Path, moment: Moment) -> Iterator["subprocess.Popen[bytes]"]:
    argv = [sys.executable, "-m", "tests.contract.mortal_api", str(folder), moment.value]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.terminate()
            process.wait(20)


def ask(folder: Path, method: str, target: str, body: bytes = b"", key: str = "") -> tuple[int, str, bytes]:
    head = [f"{method} {target} HTTP/1.1", "Host: localhost", "Connection: close", f"Content-Length: {len(body)}"]
    head += ["Content-Type: application/json"] if body else []
    head += [f"Idempotency-Key: {key}"] if key else []
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(folder / "api.sock"))
        connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
        with HTTPResponse(connection) as response:
            response.begin()
            return response.status, response.getheader("location", ""), response.read()


def records(folder: Path) -> list[object]:
    log = Log(folder / "records.db", SystemClock())
    entries = log.open()
    log.close()
    return [entry.record for entry in entries]


@pytest.mark.parametrize("moment", [Moment.BEGUN, Moment.DONE, Moment.KEPT])
def test_one_effect_whenever_it_dies(tmp_path: Path, moment: Moment) -> None:
    with daemon(tmp_path, moment) as process:
        with pytest.raises((OSError, HTTPException)):
            ask(tmp_path, "POST", POWER, ON, KEY)
        assert process.wait(20) == -signal.SIGKILL
    began = sum(isinstance(record, RunStarted) for record in records(tmp_path))
    assert began == (moment is not Moment.BEGUN)
    with daemon(tmp_path, Moment.NEVER):
        status, location, document = ask(tmp_path, "POST", POWER, ON, KEY)
        assert (status, location) == (202, f"/v1/runs/{json.loads(document)['id']}")
        assert ask(tmp_path, "POST", POWER, ON, KEY) == (status, location, document)
        assert ask(tmp_path, "POST", POWER, b'{"action":"off"}', KEY)[0] == 422
        assert ask(tmp_path, "POST", POWER, ON, "another")[0] == 409
        assert len(json.loads(ask(tmp_path, "GET", "/v1/runs")[2])["runs"]) == 1
        assert json.loads(ask(tmp_path, "GET", "/v1/audit/verify")[2])["broken"] is None
    assert sum(isinstance(record, RunStarted) for record in records(tmp_path)) == 1
    assert sum(isinstance(record, RequestHonoured) for record in records(tmp_path)) == 1


def test_a_request_with_another_body_is_refused_after_a_crash_too(tmp_path: Path) -> None:
    with daemon(tmp_path, Moment.DONE) as process:
        with pytest.raises((OSError, HTTPException)):
            ask(tmp_path, "POST", POWER, ON, KEY)
        process.wait(20)
    with daemon(tmp_path, Moment.NEVER):
        assert ask(tmp_path, "POST", POWER, b'{"action":"off"}', KEY)[0] == 422
        assert len(json.loads(ask(tmp_path, "GET", "/v1/runs")[2])["runs"]) == 1

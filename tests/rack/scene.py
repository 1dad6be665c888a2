"""A rack with a daemon, and what tests do with them as a person would."""

import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.client import Client
from appliance.lab.demo import daemon, daemon_config, make_key, wait_until_ready
from appliance.lab.rack import Rack
from appliance.lab.spec import RackSpec
from appliance.model.set_views import WorkState
from appliance.model.views import Errand, PlanView, RunState, RunView
from tests.contract import balancing, registry


@contextmanager
def served(spec: RackSpec, site: Path, sets: Path) -> Iterator[Rack]:
    """A rack with a daemon that is ready, on that site program and with that folder of sets."""
    folder = spec.workdir
    config = daemon_config(folder, socket=folder / "api.sock", key=make_key(folder), site=site, sets=sets)
    with Rack.start(spec) as rack, daemon(rack, config, folder) as process:
        ready = Client(folder / "api.sock").health
        wait_until_ready(ready, lambda: process.poll() is None, folder / "daemon.log")
        yield rack


class Scene:
    """`seconds` are what a run may take."""

    def __init__(self, rack: Rack, folder: Path, seconds: float = 600) -> None:
        self.rack, self.folder = rack, folder
        self.client = Client(folder / "api.sock")
        self._seconds = seconds

    def until(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        pace, deadline = threading.Event(), time.monotonic() + seconds
        while not condition():
            log = (self.folder / "daemon.log").read_text(errors="replace")[-2000:]
            assert time.monotonic() < deadline, f"not within {seconds} s: {what}; {log}"
            pace.wait(0.2)

    def to_the_end(self, run: RunView) -> RunView:
        self.until(lambda: self.client.run(run.id).state is not RunState.RUNNING, run.id, self._seconds)
        return self.client.run(run.id)

    def import_set(self, folder: str) -> None:
        self.client.import_set(folder)
        self.until(
            lambda: (job := self.client.sets().job) is not None and job.state is not WorkState.RUNNING, folder, 300
        )
        assert (job := self.client.sets().job) is not None
        assert job.state is WorkState.DONE, job.fault

    def do(self, name: str, errand: Errand) -> list[RunState]:
        return self.see_through(lambda: self.client.plan_errand(name, errand))

    def see_through(self, plans: Callable[[], PlanView]) -> list[RunState]:
        """How its runs ended, each approved as soon as it is planned."""
        ended: list[RunState] = []
        while (plan := plans()).steps:
            ended.append(self.to_the_end(self.client.apply(plan.digest)).state)
            if not plan.deferred or ended[-1] is not RunState.DONE:
                break
        return ended


def programs(folder: Path) -> str:
    """A PATH on which are the programs that the appliance starts for clusters, without any service of theirs."""
    folder.mkdir()
    for name, argv in (
        ("docker-registry", registry.program()),
        ("haproxy", balancing.program("haproxy", balancing.HAPROXY)),
    ):
        (folder / name).write_text(f'#!/bin/sh\nexec {shlex.join(argv)} "$@"\n')
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"

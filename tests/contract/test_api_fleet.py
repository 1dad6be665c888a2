"""A thousand machines through the API: filters, pages, counts, and how long an answer takes."""

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPResponse
from pathlib import Path

import pytest

from appliance.api.fake import FakeApplication, Served, served
from appliance.client import Client
from appliance.dial import UnixDial, http_connection
from appliance.errors import UsageError
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.views import (
    DiskView,
    EvidenceView,
    MachineView,
    PhaseView,
    PlanView,
    ProgressView,
    RunState,
    StepState,
    StepView,
)
from tests.openmetrics import read

COUNT = 1000
FAILED = Condition(kind=ConditionKind.FAILED, since=1.0, reason="the disk is not there", next_action="look")
STEP = StepView(
    id="write", machine="m", score="s", summary="write", kind="destructive", budget=9.0, state=StepState.RUNNING
)


def machine(number: int) -> MachineView:
    """With as much to tell as one that was installed."""
    mac = f"b8:ce:f6:00:{number >> 8:02x}:{number & 255:02x}"
    disk = DiskView(
        name="sda", serial=f"D{number}", wwn="naa.5", size_bytes=10**12, model="M", rotational=False, contents="blank"
    )
    view = MachineView(
        name=f"node-{number}",
        phase=Phase.ACTIVE if number % 2 else Phase.DEPLOYING,
        since=1.0,
        serial=f"SN{number:05}",
        address=f"10.77.{number >> 8}.{number & 255}",
        bmc=f"10.1.{number >> 8}.{number & 255}",
        product="Acme PowerThing",
        role="worker" if number % 10 else "control-plane",
        macs=(mac,),
        disks=(disk,) * 4,
        stages={stage: 1.5 for stage in ("dhcp", "tftp", "script", "hello", "written", "first_boot", "ssh")},
        phases=tuple(PhaseView(phase=Phase.ENROLLING, since=float(at)) for at in range(8)),
        evidence=tuple(EvidenceView(what="dhcp", time=float(at), detail=f"10.77.0.1 to {mac}") for at in range(20)),
    )
    if number % 100 == 4:
        return replace(view, conditions=(FAILED,))
    return view if number % 2 else replace(view, step=STEP, progress=ProgressView(done=1, total=2))


FLEET = {f"node-{number}": machine(number) for number in reversed(range(COUNT))}


@pytest.fixture
def application() -> FakeApplication:
    return FakeApplication(inventory=dict(FLEET))


@pytest.fixture
def server(application: FakeApplication, tmp_path: Path) -> Iterator[Served]:
    with served(application, tmp_path / "api.sock") as server:
        yield server


@pytest.fixture
def client(server: Served, tmp_path: Path) -> Client:
    return Client(tmp_path / "api.sock", timeout=30)


def get(folder: Path, target: str) -> tuple[HTTPResponse, bytes]:
    connection = http_connection(UnixDial(path=folder / "api.sock"), 30)
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def seconds(folder: Path, target: str, times: int) -> float:
    """The median, with the connection and without what a client does with the answer."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        assert get(folder, target)[0].status == 200
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def test_filters(client: Client) -> None:
    failed = client.machines("state:failed")
    assert [view.name for view in failed.machines] == [f"node-{number}" for number in range(4, COUNT, 100)]
    assert [view.name for view in client.machines("mac:b8cef600* serial:SN00017").machines] == ["node-17"]
    assert client.machines("role:nobody").machines == ()
    with pytest.raises(UsageError) as caught:
        client.machines("stat:failed")
    assert caught.value.next_action.startswith("did you mean state?")


def test_pages_in_the_order_of_names(client: Client) -> None:
    pages = list(client.machine_pages(size=300))
    assert [len(page.machines) for page in pages] == [300, 300, 300, 100]
    assert [view.name for page in pages for view in page.machines] == [f"node-{number}" for number in range(COUNT)]
    assert [len(page.machines) for page in client.machine_pages("state:failed", size=10)] == [10]
    assert client.machines().next == ""


def test_the_next_page_is_a_link(server: Served, tmp_path: Path) -> None:
    target, names = "/v1/machines?limit=2&filter=state%3Afailed+role%3Aworker", []
    while target:
        response, body = get(tmp_path, target)
        names += [view["name"] for view in json.loads(body)["machines"]]
        link = response.headers["Link"]
        assert (link is None) == (json.loads(body)["next"] == "")
        target = "" if link is None else link.removeprefix("<").removesuffix('>; rel="next"')
    assert names == [f"node-{number}" for number in range(4, COUNT, 100)]


@pytest.mark.parametrize(
    "query", ["cursor=!", "limit=0", "limit=1001", "page=2", "filter=a:b", "filter=%22", "filter=" + "x" * 2001]
)
def test_bad_questions(server: Served, tmp_path: Path, query: str) -> None:
    response, body = get(tmp_path, f"/v1/machines?{query}")
    assert (response.status, json.loads(body)["code"]) == (422, "usage")


def test_counts(client: Client) -> None:
    counts = client.summary()
    assert counts.total == COUNT
    assert {word: count for word, count in counts.states.items() if count} == {
        "active": 500,
        "running": 490,
        "failed": 10,
    }
    assert client.summary("role:control-plane").total == 100


def test_runs(client: Client, application: FakeApplication) -> None:
    application.plans = [PlanView(digest="a" * 64, site="lab", steps=(), deferred=())]
    started = []
    for _ in range(5):
        started.append(client.apply(client.make_plan().digest).id)
        client.run(started[-1])
    open_run = client.apply(client.make_plan().digest).id
    assert [run.id for page in client.run_pages(size=2) for run in page.runs] == [open_run, *reversed(started)]
    assert [run.id for run in client.runs(RunState.RUNNING).runs] == [open_run]
    assert [len(page.runs) for page in client.run_pages(RunState.DONE, size=2)] == [2, 2, 1]


def test_kinds_of_events(client: Client, server: Served, application: FakeApplication) -> None:
    for kind in ("noted", "step-intent", "step-result", "run-ended"):
        server.do(application.tell("node-1", kind, kind=kind))
    assert [event.kind for event in client.events(kind="step-*,run-ended").events] == [
        "step-intent",
        "step-result",
        "run-ended",
    ]
    with pytest.raises(UsageError) as caught:
        client.events(kind="step-resul")
    assert caught.value.next_action == "did you mean step-result?"


@pytest.mark.alone
def test_a_thousand_machines_take_no_second_and_a_page_no_tenth(server: Served, tmp_path: Path) -> None:
    seconds(tmp_path, "/v1/machines", 1)
    assert seconds(tmp_path, "/v1/machines", 3) < 1.0
    assert seconds(tmp_path, "/v1/machines?filter=state:failed,running+role:worker", 3) < 1.0
    assert seconds(tmp_path, "/v1/machines/summary", 5) < 0.1
    assert seconds(tmp_path, "/v1/machines?limit=100", 5) < 0.1


def test_metrics_are_openmetrics(server: Served, tmp_path: Path) -> None:
    response, body = get(tmp_path, "/v1/metrics")
    assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    found = read(body.decode())
    assert (found["innervate_nodes"].of(state="failed"), found["innervate_build"].of("_info", version="0.1.0")) == (
        10,
        1,
    )

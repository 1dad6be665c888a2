"""From the button to the packet: a request, its run, the steps and the orders are spans of one trace."""

from pathlib import Path

import pytest
from opentelemetry.trace import StatusCode
from starlette.types import Message, Receive, Scope, Send

from appliance.api.trace import Traced
from appliance.model.views import PowerAction
from appliance.plan import Plan
from appliance.services.spans import Spans
from appliance.store.records import RunStarted
from appliance.system import SystemRng
from appliance.tracing import here, tracer, under
from tests.recorder import Kept, Recorder
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.virtual import run
from tests.unit.appliance.store.samples import NODE


async def pressed(net: Net, recorder: Recorder | None, *, status: int = 202, work: str = "apply") -> Scope:
    """A request that begins a run, from the outside in."""
    scope: Scope = {"type": "http", "method": "POST", "path": f"/v1/{work}", "headers": []}

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        if work == "apply":
            await net.application.apply((await net.application.make_plan()).digest)  # type: ignore[arg-type]
        else:
            await net.application.power(NODE, PowerAction.ON)
        await send({"type": "http.response.start", "status": status})

    async def receive() -> Message:
        raise AssertionError

    async def send(_message: Message) -> None:
        return

    await Traced(app, SystemRng(), recorder)(scope, receive, send)
    return scope


def test_one_trace_from_the_button_to_the_packet(tmp_path: Path) -> None:
    async def scene() -> None:
        rack, recorder = FakeRack(tmp_path), Recorder()
        net = Net(rack)
        Spans(net.memory, recorder)
        scope = await pressed(net, recorder)
        await net.ended()
        (request,) = recorder.named("POST /v1/apply")
        assert request.attributes["http.response.status_code"] == 202
        assert scope["state"]["trace_id"] == f"{request.context.trace_id:032x}"
        (whole,) = recorder.under(request)
        assert (whole.name, whole.attributes["innervate.state"], whole.status) == ("run", "done", StatusCode.UNSET)
        assert {span.context.trace_id for span in recorder.spans} == {request.context.trace_id}
        assert all(span.ended for span in recorder.spans)
        steps = recorder.under(whole)
        plan = net.memory.world.runs[whole.attributes["innervate.run"]].plan
        assert named(steps) == sorted((step.machine, step.do.action) for step in plan.steps)
        assert_orders_and_boots(recorder, steps, plan)
        await rack.close()

    run(scene())


def named(steps: list[Kept]) -> list[tuple[str, str]]:
    return sorted((step.attributes["innervate.machine"], step.name) for step in steps)


def assert_orders_and_boots(recorder: Recorder, steps: list[Kept], plan: Plan) -> None:
    boots = [step for step in steps if step.name == "boot-agent" and step.attributes["innervate.machine"] == NODE]
    assert boots
    assert {"power on", "boot order"} <= {order.name for order in recorder.under(boots[0])}
    events = [name for name, _ in boots[0].events]
    assert events[0] == "boot-seen"
    assert "hello-seen" in events
    times = [at for _, at in boots[0].events]
    assert boots[0].start is not None
    assert boots[0].end_time is not None
    assert all(at is not None and boots[0].start <= at <= boots[0].end_time for at in times)


def test_what_failed_says_so(tmp_path: Path) -> None:
    async def scene() -> None:
        rack, recorder = FakeRack(tmp_path), Recorder()
        net = Net(rack)
        Spans(net.memory, recorder)
        rack.first.bmc.deaf = True
        rack.first.bmc.on_command = lambda _command: None
        await pressed(net, recorder, work="power")
        await net.ended()
        (step,) = recorder.named("set-power")
        assert (step.status, step.attributes["innervate.machine"]) == (StatusCode.ERROR, NODE)
        assert step.said
        assert recorder.named("run")[0].status is StatusCode.ERROR
        await rack.close()

    run(scene())


def test_a_run_goes_on_in_its_trace_after_a_restart(tmp_path: Path) -> None:
    async def scene() -> None:
        rack, recorder = FakeRack(tmp_path), Recorder()
        net = Net(rack)
        scope = await pressed(net, recorder)
        await net.close()
        net = Net(rack)
        again = Recorder()
        Spans(net.memory, again)
        await net.ended()
        (whole,) = again.named("run")
        assert whole.attributes["innervate.resumed"] is True
        assert f"{whole.context.trace_id:032x}" == scope["state"]["trace_id"]
        assert whole.parent is not None
        assert whole.parent.span_id == recorder.named("POST /v1/apply")[0].context.span_id
        await rack.close()

    run(scene())


def test_without_an_sdk_a_run_still_knows_its_request(tmp_path: Path) -> None:
    """Nothing is recorded, and everything goes on."""

    async def scene() -> None:
        rack = FakeRack(tmp_path)
        net = Net(rack)
        Spans(net.memory, tracer())
        scope = await pressed(net, None)
        await net.ended()
        entries = await net.memory.read(after=0, machine=None, limit=10_000, kinds=frozenset({"run-started"}))
        (started,) = (entry.record for entry in entries)
        assert isinstance(started, RunStarted)
        assert started.trace.split("-")[1] == scope["state"]["trace_id"]
        assert int(scope["state"]["trace_id"], 16)
        assert here() == ""
        await rack.close()

    run(scene())


@pytest.mark.parametrize("parent", ["", "x", "01-" + "a" * 32 + "-" + "b" * 16 + "-01", "00-a-b-01"])
def test_what_is_no_place_in_a_trace_begins_one(parent: str) -> None:
    recorder = Recorder()
    recorder.start_span("run", context=under(parent))
    assert recorder.spans[0].parent is None

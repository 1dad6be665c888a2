"""Our spans against OpenTelemetry's own SDK, which the product neither has nor needs: whoever runs the daemon may."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.foreign import OPENTELEMETRY_SDK, environment

ROOT = Path(__file__).parents[2]
_PLAY = """
import json, sys
from pathlib import Path
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from appliance.services.spans import Spans
from appliance.tracing import tracer
from tests.unit.appliance.conductor.rack import FakeRack, Net
from tests.unit.appliance.conductor.virtual import run
from tests.unit.appliance.services.test_spans import pressed

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)

async def scene():
    rack = FakeRack(Path(sys.argv[1]))
    net = Net(rack)
    Spans(net.memory, tracer())
    scope = await pressed(net, None)
    await net.ended()
    await rack.close()
    return scope["state"]["trace_id"]

name = run(scene())
print(json.dumps({"trace": name, "spans": [json.loads(span.to_json()) for span in exporter.get_finished_spans()]}))
"""


@pytest.mark.timeout(300)
def test_the_sdk_records_one_trace(tmp_path: Path) -> None:
    (packages,) = (environment(*OPENTELEMETRY_SDK).parent / "lib").glob("python*/site-packages")
    path = os.pathsep.join((str(ROOT), str(packages)))
    done = subprocess.run(
        [sys.executable, "-c", _PLAY, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    spans = {span["context"]["span_id"]: span for span in told["spans"]}
    assert {span["context"]["trace_id"] for span in spans.values()} == {f"0x{told['trace']}"}
    parents = {span["name"]: spans[span["parent_id"]]["name"] for span in spans.values() if span["parent_id"]}
    assert {name: parents[name] for name in ("run", "boot-agent", "power on")} == {
        "run": "POST /v1/apply",
        "boot-agent": "run",
        "power on": "boot-agent",
    }
    assert [span["name"] for span in spans.values() if not span["parent_id"]] == ["POST /v1/apply"]

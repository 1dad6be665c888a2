import json

import pytest

from appliance.lab.report import report
from appliance.model.codec import to_json
from appliance.model.phase import Phase
from appliance.model.views import EvidenceView, HealthView, MachinesView, MachineView, PhaseView

HEALTH = HealthView(version="0.1.0", ready=True, started=0, rss_bytes=81_234_567, site="lab")
ACTIVE = MachineView(
    name="node-0",
    phase=Phase.ACTIVE,
    since=9,
    serial="SN0001",
    address="10.77.0.50",
    stages={"dhcp": 3.5, "ssh": 61.0},
    phases=(PhaseView(phase=Phase.ACTIVE, since=9),),
    evidence=(EvidenceView(what="ssh", time=9, detail="serial read back"),),
)


def test_document() -> None:
    made = report(MachinesView(machines=(ACTIVE,)), HEALTH, (), seconds=70.26, ready_seconds=1.234)
    assert json.loads(to_json(made)) == {
        "seconds": 70.3,
        "machines": [
            {
                "name": "node-0",
                "serial": "SN0001",
                "phase": "active",
                "address": "10.77.0.50",
                "stages": {
                    "dhcp": 3.5,
                    "tftp": None,
                    "script": None,
                    "hello": None,
                    "written": None,
                    "first_boot": None,
                    "ssh": 61.0,
                },
                "phases": [{"phase": "active", "since": 9.0}],
                "evidence": [{"what": "ssh", "time": 9.0, "detail": "serial read back"}],
            }
        ],
        "daemon": {"ready_seconds": 1.23, "rss_mb": 81.2},
        "run": [],
    }


@pytest.mark.parametrize(
    ("phases", "verdict"), [((), False), ((Phase.ACTIVE,), True), ((Phase.ACTIVE, Phase.BOOTING), False)]
)
def test_verdict(phases: tuple[Phase, ...], verdict: bool) -> None:
    machines = tuple(MachineView(name="n", phase=phase, since=0) for phase in phases)
    made = report(MachinesView(machines=machines), HEALTH, (), seconds=1, ready_seconds=1)
    assert made.all_active is verdict

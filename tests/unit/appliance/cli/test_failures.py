"""Ten failures of the field: `status`, `explain` and `doctor` name the cause, what was seen and what to do."""

import pytest

from appliance.api.fake import FakeApplication
from appliance.api.fake_findings import FINDINGS
from tests.failures import TEN, scene_of, show
from tests.unit.appliance.cli.conftest import Run


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("name", TEN)
def test_failure(name: str, application: FakeApplication, run: Run) -> None:
    application.inventory = {}
    scene = show(application, scene_of(name))
    shown = scene.condition
    status, everything, _ = run("status")
    assert status == 0
    assert shown.reason in flat(everything)
    assert scene.beside in flat(everything)
    for verb in ("status", "explain"):
        status, told, _ = run(verb, scene.machine.name)
        assert status == 0
        for text in (shown.reason, f"seen: {flat(shown.evidence)}", f"next: {shown.next_action}"):
            assert text in flat(told), verb


@pytest.mark.parametrize("name", FINDINGS)
def test_what_the_doctor_finds(name: str, application: FakeApplication, run: Run) -> None:
    finding = FINDINGS[name]
    application.doctor_desk.finds = (finding,)
    _, told, _ = run("doctor")
    for text in (finding.cause, f"seen: {finding.evidence}", f"next: {finding.next_action}"):
        assert text in flat(told)
    assert f"command: {finding.command}" in told

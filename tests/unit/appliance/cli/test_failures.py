"""Ten failures of the field: `status`, `explain` and `doctor` name the cause, what was seen and what to do."""

import pytest

from appliance.api.fake import FakeApplication
from appliance.api.fake_findings import FINDINGS
from appliance.api.fake_scenes import FAILURES, Failure, fail
from tests.unit.appliance.cli.conftest import Run


def flat(text: str) -> str:
    return " ".join(text.split())


def test_there_are_ten() -> None:
    assert len({failure.name for failure in FAILURES}) == 10


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_failure(failure: Failure, application: FakeApplication, run: Run) -> None:
    application.inventory = {}
    fail(application, failure)
    status, everything, _ = run("status")
    assert status == 0
    assert failure.cause in flat(everything)
    assert failure.segment in flat(everything)
    for verb in ("status", "explain"):
        status, told, _ = run(verb, failure.name)
        assert status == 0
        for text in (failure.cause, f"seen: {failure.evidence}", f"next: {failure.action}"):
            assert text in flat(told), verb


@pytest.mark.parametrize("name", FINDINGS)
def test_what_the_doctor_finds(name: str, application: FakeApplication, run: Run) -> None:
    finding = FINDINGS[name]
    application.doctor_desk.finds = (finding,)
    _, told, _ = run("doctor")
    for text in (finding.cause, f"seen: {finding.evidence}", f"next: {finding.next_action}"):
        assert text in flat(told)
    assert f"command: {finding.command}" in told

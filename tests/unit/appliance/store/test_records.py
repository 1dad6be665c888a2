"""Every record survives being stored, and says whose it is."""

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import UsageError
from appliance.model.codec import from_json, to_json
from appliance.model.ids import Fence
from appliance.store.records import (
    RECORD_KINDS,
    Body,
    Noted,
    Problem,
    Record,
    StepResult,
    machine_of,
    run_of,
)
from tests.unit.appliance.store.samples import NODE, RUN, SAMPLES, STEP

TEXT = st.text(st.characters(codec="utf-8"), max_size=60)


def test_the_samples_are_of_every_kind() -> None:
    assert {type(record) for record in SAMPLES} == set(get_args(Record))
    assert {record.record for record in SAMPLES} == set(RECORD_KINDS)
    assert len(RECORD_KINDS) == len(get_args(Record))


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: record.record)
def test_round_trip(record: Record) -> None:
    assert from_json(Body, to_json(Body(record=record))).record == record


@given(text=TEXT)
def test_round_trip_of_any_text(text: str) -> None:
    record = Noted(machine=NODE, kind="k", text=text)
    assert from_json(Body, to_json(Body(record=record))).record == record


@given(
    fence=st.integers(1, 10**6),
    evidence=st.dictionaries(TEXT, TEXT, max_size=4),
    problem=st.none() | st.builds(Problem, code=TEXT, message=TEXT, evidence=TEXT, next_action=TEXT),
    retry_after=st.none() | st.floats(0, 1e9),
)
def test_round_trip_of_any_result(
    fence: int, evidence: dict[str, str], problem: Problem | None, retry_after: float | None
) -> None:
    record = StepResult(
        run=RUN,
        step=STEP,
        machine=NODE,
        fence=Fence(fence),
        evidence=evidence,
        problem=problem,
        retry_after=retry_after,
    )
    assert from_json(Body, to_json(Body(record=record))).record == record


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: record.record)
def test_whose_it_is(record: Record) -> None:
    document = json.loads(to_json(Body(record=record)))["record"]
    assert machine_of(record) == document.get("machine")
    assert run_of(record) == document.get("run")


@pytest.mark.parametrize(
    "text", ['{"record":{"record":"future-kind"}}', '{"record":{"record":"noted"}}', "{}", "nonsense"]
)
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        from_json(Body, text)

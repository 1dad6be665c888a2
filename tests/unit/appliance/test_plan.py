from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import PlanError
from appliance.model.bmc import PowerCommand
from appliance.model.codec import from_json, to_json
from appliance.model.ids import ImageName, MachineName, StepId
from appliance.model.step import StepKind
from appliance.plan import (
    Action,
    BootAgent,
    BootDisk,
    ConfirmShell,
    Deferred,
    DiskRef,
    Enrol,
    ImageRef,
    Inspect,
    Plan,
    SetPower,
    Step,
    WriteImage,
    WriteSeed,
    check,
    merge,
)

DISK = DiskRef(serial="DISK0001", wwn="", size_bytes=4 << 30, contents="blank")
IMAGE = ImageRef(name=ImageName("debian-13"), manifest_sha256="aa" * 32, blob_sha256="bb" * 32, raw_bytes=2 << 30)


def step(name: str, *needs: str, machine: str = "node-0", do: Action | None = None) -> Step:
    return Step(
        id=StepId(name),
        machine=MachineName(machine),
        score="s",
        summary=name,
        do=do or Inspect(),
        budget=1.0,
        needs=tuple(map(StepId, needs)),
    )


def plan(*steps: Step) -> Plan:
    return Plan(site="lab", steps=steps)


@pytest.mark.parametrize(
    ("do", "kind"),
    [
        (Enrol(), StepKind.READ),
        (Inspect(), StepKind.READ),
        (ConfirmShell(user="root", checks=()), StepKind.READ),
        (BootAgent(), StepKind.IDEMPOTENT),
        (WriteSeed(disk=DISK, hostname="n", domain="d", authorized_keys=()), StepKind.IDEMPOTENT),
        (BootDisk(disk=DISK, image=IMAGE), StepKind.IDEMPOTENT),
        (SetPower(command=PowerCommand.ON), StepKind.IDEMPOTENT),
        (WriteImage(image=IMAGE, disk=DISK), StepKind.DESTRUCTIVE),
    ],
)
def test_kinds_and_the_codec(do: Action, kind: StepKind) -> None:
    whole = plan(step("a", do=do))
    assert whole.steps[0].kind is kind
    assert from_json(Plan, to_json(whole)) == whole


def test_the_digest_names_what_is_done() -> None:
    one = plan(step("a", do=WriteImage(image=IMAGE, disk=DISK)))
    other = plan(step("a", do=WriteImage(image=IMAGE, disk=replace(DISK, contents="gpt:1"))))
    assert one.digest == plan(step("a", do=WriteImage(image=IMAGE, disk=DISK))).digest
    assert one.digest != other.digest
    assert len(one.digest) == 64


@pytest.mark.parametrize(
    ("faulty", "message"),
    [
        (plan(step("a"), step("a")), "share an id"),
        (plan(step("a", "b")), "step a needs b, which no score plans"),
        (plan(step("a", "a")), "circle: a"),
        (plan(step("a", "c"), step("b", "a"), step("c", "b"), step("d")), "circle: a, b, c"),
    ],
)
def test_faulty_plans(faulty: Plan, message: str) -> None:
    with pytest.raises(PlanError, match=message) as caught:
        check(faulty)
    assert caught.value.next_action


def test_steps_stand_after_their_needs_machine_by_machine() -> None:
    late, early = plan(step("b", "c", machine="n1"), step("x", machine="n2")), plan(step("c", machine="n1"))
    assert [s.id for s in merge("lab", [late, early]).steps] == ["c", "b", "x"]


CHAINS = [step(f"{m}{i}", *([f"{m}{i - 1}"] if i else []), machine=m) for m in "pq" for i in range(4)]


@given(st.permutations(CHAINS))
def test_the_order_of_the_parts_means_nothing(steps: list[Step]) -> None:
    merged = merge("lab", [plan(s) for s in steps])
    assert merged.digest == plan(*CHAINS).digest


def test_deferred_are_kept_in_order() -> None:
    parts = [Plan(site="lab", deferred=(Deferred(score=s, reason="r"),)) for s in "ba"]
    assert [d.score for d in merge("lab", parts).deferred] == ["a", "b"]

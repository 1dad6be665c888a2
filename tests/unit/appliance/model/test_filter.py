"""The language that names machines: what fits, what is refused, and in which words."""

import pytest

from appliance.errors import UsageError
from appliance.model.cluster_views import Membership, MemberView
from appliance.model.filter import FILTER_LIMIT, Field, chosen, joined, parse
from appliance.model.phase import Condition, ConditionKind, Phase
from appliance.model.place import Place
from appliance.model.views import MachineView

FAILED = MachineView(
    name="node-12",
    phase=Phase.ENROLLING,
    since=0.0,
    serial="SN 1",
    uuid="00000077-0000-4000-8000-00000000000A",
    address="10.77.0.62",
    product="Acme PowerThing R7",
    conditions=(Condition(kind=ConditionKind.FAILED, since=1.0, reason="r"),),
    role="worker",
    place=Place(rack="r12", unit=7),
    run="3f2a",
    bmc="10.1.0.12",
    macs=("b8:ce:f6:00:00:01", "b8:ce:f6:00:00:02"),
    member=MemberView(cluster="prod", role="worker", state=Membership.MEMBER, since=1.0),
)
BARE = MachineView(name="node-1", phase=Phase.ACTIVE, since=0.0, spare_of="worker")


@pytest.mark.parametrize(
    ("text", "failed", "bare"),
    [
        ("", True, True),
        ("   ", True, True),
        ("state:failed", True, False),
        ("STATE:Failed", True, False),
        ("-state:failed", False, True),
        ("state:failed,active", True, True),
        ("phase:act*", False, True),
        ("role:worker", True, False),
        ('role:""', False, True),
        ("role:*", True, True),
        ("spare:work*", False, True),
        ("cluster:pro*", True, False),
        ('cluster:""', False, True),
        ("mac:b8:ce*", True, False),
        ("mac:B8-CE-F6-00-00-02", True, False),
        ("mac:b8cef6000003", False, False),
        ("mac:*0002", True, False),
        ('mac:""', False, True),
        ("bmc:10.1.*", True, False),
        ("bmc:10.1", False, False),
        ("address:10.77.0.6?", False, False),
        ('serial:"SN 1"', True, False),
        ('serial:"sn"*1', True, False),
        ('serial:"SN*"', False, False),
        ("uuid:0000007700004000*", True, False),
        ("product:*powerthing*", True, False),
        ("product:powerthing", False, False),
        ("powerthing", True, False),
        ("node-1", True, True),
        ("name:node-1", False, True),
        ("node*2", True, False),
        ("node*3", False, False),
        ('"sn 1"', True, False),
        ('""', False, True),
        ("condition:failed", True, False),
        ('condition:""', False, True),
        ("rack:r12 run:3f2a", True, False),
        ("rack:r12 run:other", False, False),
        ("-role:worker -spare:worker", False, False),
        ("name:a*a", False, False),
        ('"10.77.0.62"', True, False),
    ],
)
def test_what_fits(text: str, failed: bool, bare: bool) -> None:
    assert (parse(text).fits(FAILED), parse(text).fits(BARE)) == (failed, bare)


@pytest.mark.parametrize(
    ("text", "name", "fits"),
    [
        ("aba*aba", "aba", False),
        ("aba*aba", "ababa", False),
        ("aba*aba", "abaaba", True),
        ("*b*b*", "b", False),
        ("*b*b*", "abcb", True),
        ("**", "", True),
        ("a**b", "ab", True),
    ],
)
def test_stars_share_no_text(text: str, name: str, fits: bool) -> None:
    assert parse(f"name:{text}").fits(MachineView(name=name, phase=Phase.ACTIVE, since=0.0)) is fits


@pytest.mark.parametrize(
    ("text", "message", "action"),
    [
        ("stat:failed", "machines have no field 'stat'", "did you mean state?"),
        ("b8:ce:f6", "machines have no field 'b8'", "name one of these"),
        (":x", "machines have no field ''", "name one of these"),
        ("state:faild", "state is never 'faild'", "did you mean failed?"),
        ("phase:", "a value is missing in 'phase:'", 'write "" for none'),
        ("phase:active,", "a value is missing in 'phase:active,'", 'write "" for none'),
        ("-", "a value is missing in '-'", 'write "" for none'),
        ('serial:"SN 1', "a quote in the filter is not closed", 'end the text with "'),
        ("x" * (FILTER_LIMIT + 1), f"the filter has more than {FILTER_LIMIT} characters", "ask for less"),
        ("\x1b[2J:x", "machines have no field '", "name one of these"),
    ],
)
def test_refusals(text: str, message: str, action: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)
    assert caught.value.next_action.startswith(action)
    assert "\x1b" not in f"{caught.value}{caught.value.evidence}{caught.value.next_action}"


def test_a_refusal_names_every_field() -> None:
    with pytest.raises(UsageError) as caught:
        parse("colour:red")
    assert all(field.value in caught.value.evidence for field in Field)


def test_words_of_a_shell_are_one_filter() -> None:
    assert joined(["state:failed", "role:worker"]) == parse("state:failed role:worker")
    assert str(joined(['serial:"SN 1"', "-phase:active,available"])) == 'serial:"SN 1" -phase:active,available'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", set()),
        ("step-*", {"step-intent", "step-result"}),
        ("step-result,run-*", {"step-result", "run-ended"}),
        ("STEP-RESULT", {"step-result"}),
    ],
)
def test_choosing_of_a_closed_set(text: str, found: set[str]) -> None:
    assert chosen(text, ("run-ended", "step-intent", "step-result"), "kind") == found


def test_a_choice_that_nothing_fits() -> None:
    with pytest.raises(UsageError) as caught:
        chosen("step-resul", ("step-intent", "step-result"), "kind")
    assert (str(caught.value), caught.value.next_action) == (
        "there is no kind 'step-resul'",
        "did you mean step-result?",
    )

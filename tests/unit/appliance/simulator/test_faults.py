import json

import pytest

from appliance.simulator.faults import IN_PLACE, PLAIN, Fault, Manner, Reply, of_answers, refusal, said, spoiled

DOCUMENT = {
    "Name": "x",
    "Systems": {"@odata.id": "/redfish/v1/Systems"},
    "Boot": {"BootSourceOverrideMode": "UEFI"},
    "Members": [{"@odata.id": "/a"}, 5],
}


def test_faults_of_answers_and_of_behaviour() -> None:
    behaviour = {fault for fault in Fault if not of_answers(fault)}
    assert len(Fault) == 18
    assert len(behaviour) == 10
    assert Fault.LIES_ABOUT_POWER in behaviour
    assert not IN_PLACE & behaviour


@pytest.mark.parametrize("fault", [fault for fault in Fault if not of_answers(fault)])
def test_fault_of_behaviour_leaves_answers_alone(fault: Fault) -> None:
    reply = said({"a": 1})
    assert spoiled(fault, reply, "/") is reply


def test_wrong_types_are_text_in_the_place_of_objects_at_every_depth() -> None:
    reply = spoiled(Fault.WRONG_TYPES, said(DOCUMENT, headers={"ETag": '"1"'}), "/")
    assert json.loads(reply.body) == {"Name": "x", "Systems": "/redfish/v1/Systems", "Boot": "", "Members": ["/a", 5]}
    assert reply.headers["ETag"] == '"1"'


@pytest.mark.parametrize("body", [b"", b"[1]"])
def test_wrong_types_of_what_has_none(body: bytes) -> None:
    assert spoiled(Fault.WRONG_TYPES, Reply(status=200, body=body), "/").body == body


@pytest.mark.parametrize(
    ("fault", "manner"),
    [
        (Fault.SILENT, Manner.NEVER),
        (Fault.SLOW_BYTES, Manner.BY_BYTES),
        (Fault.HUGE_BODY, Manner.WITHOUT_END),
        (Fault.GARBAGE, Manner.AT_ONCE),
    ],
)
def test_manner_of_an_answer_and_its_status(fault: Fault, manner: Manner) -> None:
    """HTTP 204 has no body that could be wrong; a task's answer stays one."""
    assert spoiled(fault, PLAIN, "/").manner is manner
    if fault is not Fault.SILENT:
        assert spoiled(fault, Reply(status=204), "/").status == 200
    location = Reply(status=202, headers={"Location": "/task"}, body=b"{}")
    assert (spoiled(fault, location, "/").status, spoiled(fault, location, "/").headers) == (202, location.headers)


def test_garbage_is_no_json() -> None:
    with pytest.raises(ValueError, match=r"codec|Expecting"):
        json.loads(spoiled(Fault.GARBAGE, PLAIN, "/").body)


def test_loop_leads_to_where_it_began() -> None:
    reply = spoiled(Fault.REDIRECT_LOOP, PLAIN, "/redfish/v1/Systems")
    assert (reply.status, reply.headers["Location"]) == (308, "/redfish/v1/Systems")


def test_busy_says_until_when() -> None:
    reply = spoiled(Fault.BUSY, PLAIN, "/")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")


def test_refusal_is_an_error_object() -> None:
    error = json.loads(refusal(400, "Base.1.18.GeneralError", "no").body)["error"]
    assert error["@Message.ExtendedInfo"] == [{"MessageId": "Base.1.18.GeneralError", "Message": "no"}]

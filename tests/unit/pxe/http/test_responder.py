import pytest

from pxe.content import BytesContent
from pxe.http.packet import RequestHead
from pxe.http.responder import HttpReply, busy, from_reply, respond

CONTENT = BytesContent(data=b"0123456789", media_type="application/efi", digest="abc")


def asked(method: str = "GET", **headers: str) -> RequestHead:
    return RequestHead(method=method, path="/a", headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.mark.parametrize(
    ("wanted", "status", "start", "count", "content_range"),
    [
        ("", 200, 0, 10, None),
        ("bytes=0-", 206, 0, 10, "bytes 0-9/10"),
        ("bytes=2-4", 206, 2, 3, "bytes 2-4/10"),
        ("bytes=9-99", 206, 9, 1, "bytes 9-9/10"),
        ("bytes=-3", 206, 7, 3, "bytes 7-9/10"),
        ("bytes=-99", 206, 0, 10, "bytes 0-9/10"),
        ("bytes=10-", 416, 0, 0, "bytes */10"),
        ("bytes=-0", 416, 0, 0, "bytes */10"),
        ("bytes=4-2", 200, 0, 10, None),
        ("bytes=-", 200, 0, 10, None),
        ("bytes=0-1,3-4", 200, 0, 10, None),
        ("Bytes=0-1", 206, 0, 2, "bytes 0-1/10"),
        ("lines=0-1", 200, 0, 10, None),
        ("bytes=" + "9" * 30 + "-", 200, 0, 10, None),
    ],
)
def test_range(wanted: str, status: int, start: int, count: int, content_range: str | None) -> None:
    response = respond(asked(range=wanted), CONTENT)
    assert (response.status, response.start, response.count) == (status, start, count)
    assert dict(response.headers).get("Content-Range") == content_range


def test_range_of_changed_content_is_not_mixed_with_the_old() -> None:
    assert respond(asked(range="bytes=5-", if_range='"old"'), CONTENT).status == 200
    assert respond(asked(range="bytes=5-", if_range='"abc"'), CONTENT).status == 206


def test_head_says_the_length_and_sends_nothing() -> None:
    response = respond(asked("HEAD"), CONTENT)
    assert (response.status, response.length, response.count) == (200, 10, 0)
    assert dict(response.headers) == {"Content-Type": "application/efi", "Accept-Ranges": "bytes", "ETag": '"abc"'}


def test_empty_content() -> None:
    assert respond(asked(), BytesContent(data=b"")).status == 200
    assert respond(asked(range="bytes=0-"), BytesContent(data=b"")).status == 416


def test_what_is_not_there_and_what_is_not_allowed() -> None:
    assert respond(asked(), None).status == 404
    refused = respond(asked("PUT"), CONTENT)
    assert (refused.status, dict(refused.headers)["Allow"]) == (405, "GET, HEAD")
    assert respond(asked("BREW"), CONTENT).status == 501


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("if_none_match", '"abc"', 304),
        ("if_none_match", 'W/"abc"', 304),
        ("if_none_match", '"old", "abc"', 304),
        ("if_none_match", "*", 304),
        ("if_none_match", '"old"', 200),
        ("if_match", '"abc"', 200),
        ("if_match", "*", 200),
        ("if_match", 'W/"abc"', 412),
        ("if_match", '"old"', 412),
    ],
)
def test_precondition(field: str, value: str, status: int) -> None:
    assert respond(asked(**{field: value}), CONTENT).status == status


def test_content_without_a_digest_has_no_entity_tag_to_compare() -> None:
    nameless = BytesContent(data=b"0123456789")
    assert respond(asked(if_none_match='""'), nameless).status == 200
    assert respond(asked(range="bytes=1-", if_range='""'), nameless).status == 200
    assert "ETag" not in dict(respond(asked(), nameless).headers)


def test_reply_to_head_keeps_its_length() -> None:
    response = from_reply(asked("HEAD"), HttpReply(body=b"script"))
    assert (response.length, response.count) == (6, 0)


def test_reply_without_content_has_no_length() -> None:
    response = from_reply(asked("POST"), HttpReply(status=204, body=b"dropped"))
    assert (response.length, response.count) == (None, 0)


def test_who_must_come_back_is_told_why_and_when() -> None:
    reply = busy("too many", 7)
    assert (reply.status, reply.headers, reply.body) == (503, (("Retry-After", "7"),), b"too many; try again in 7 s\n")

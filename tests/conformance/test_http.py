"""RFC 9110 (semantics), RFC 9112 (HTTP/1.1) and what UEFI HTTP Boot needs, point by point.

Most drive the server over loopback with bytes and check bytes; each name says the section.
"""

import re
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Address

import pytest

from pxe.content import BytesContent, Content, ContentTable
from pxe.http.admission import LARGE
from pxe.http.responder import HttpReply, HttpRequest
from pxe.http.server import Caps, HttpServer

ADDRESS = IPv4Address("127.80.1.1")
DEADLINE = 10.0
BODY = b"0123456789"
FILES = ContentTable(
    {
        "a.efi": BytesContent(data=BODY, media_type="application/efi", digest="abc"),
        "large.iso": BytesContent(data=bytes(LARGE), media_type="application/vnd.efi-iso", digest="large"),
    }
)


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Site:
    def content(self, path: str) -> Content | None:
        return FILES.content(path.removeprefix("/"))

    def is_dynamic(self, path: str) -> bool:
        return path.startswith("/echo")

    def is_slow(self, path: str) -> bool:
        return path == "/echo/slow"

    def handle(self, request: HttpRequest) -> HttpReply:
        if request.path == "/echo/none":
            return HttpReply(status=204)
        return HttpReply(body=request.body)


def started(caps: Caps) -> HttpServer:
    server = HttpServer(address=ADDRESS, port=0, routes=Site(), clock=SystemClock(), observe=lambda _: None, caps=caps)
    server.start()
    return server


@pytest.fixture(scope="module")
def server() -> Iterator[HttpServer]:
    server = started(Caps())
    yield server
    server.stop()


class Answer:
    def __init__(self, raw: bytes) -> None:
        head, _, self.rest = raw.partition(b"\r\n\r\n")
        line, *fields = head.decode("latin-1").split("\r\n")
        self.line = line
        self.status = int(line.split(" ")[1])
        self.headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}


def converse(server: HttpServer, raw: bytes) -> bytes:
    """All that comes back until the server closes."""
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as sock:
        sock.sendall(raw)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def ask(server: HttpServer, line: str, *fields: str, body: bytes = b"") -> Answer:
    """The last request of its connection."""
    head = "".join(f"{text}\r\n" for text in (line, "Host: boot", "Connection: close", *fields))
    return Answer(converse(server, head.encode("latin-1") + b"\r\n" + body))


def send(server: HttpServer, raw: bytes) -> Answer:
    return Answer(converse(server, raw))


GET = "GET /a.efi HTTP/1.1"

# RFC 9112: messages


def test_rfc9112_2_2_empty_lines_before_the_request_are_skipped(server: HttpServer) -> None:
    assert send(server, b"\r\n\r\nGET /a.efi HTTP/1.0\r\n\r\n").rest == BODY


def test_rfc9112_2_2_bare_line_feed_is_refused_at_once(server: HttpServer) -> None:
    assert send(server, b"GET /a.efi HTTP/1.1\nHost: boot\n\n").status == 400


def test_rfc9112_2_2_bare_carriage_return_is_refused(server: HttpServer) -> None:
    assert send(server, b"GET /a.efi HTTP/1.1\r\nHost: boot\r\nX: a\rY: b\r\n\r\n").status == 400


def test_rfc9112_2_3_response_to_http_1_0_says_http_1_1(server: HttpServer) -> None:
    assert ask(server, "GET /a.efi HTTP/1.0").line == "HTTP/1.1 200 OK"


def test_rfc9112_2_3_later_minor_versions_are_http_1_1(server: HttpServer) -> None:
    assert ask(server, "GET /a.efi HTTP/1.9").status == 200


def test_rfc9112_2_3_other_major_version_is_505(server: HttpServer) -> None:
    assert send(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status == 505


def test_rfc9112_3_whitespace_within_the_request_line_is_refused(server: HttpServer) -> None:
    assert send(server, b"GET  /a.efi HTTP/1.1\r\nHost: boot\r\n\r\n").status == 400


def test_rfc9112_3_request_line_of_8000_bytes_is_read(server: HttpServer) -> None:
    assert ask(server, f"GET /{'a' * 7900} HTTP/1.1").status == 404


def test_rfc9112_3_longer_target_is_414(server: HttpServer) -> None:
    assert ask(server, f"GET /{'a' * 8001} HTTP/1.1").status == 414


def test_rfc9112_3_2_missing_host_is_400(server: HttpServer) -> None:
    assert send(server, b"GET /a.efi HTTP/1.1\r\n\r\n").status == 400


def test_rfc9112_3_2_missing_host_in_http_1_0_is_allowed(server: HttpServer) -> None:
    assert send(server, b"GET /a.efi HTTP/1.0\r\n\r\n").status == 200


def test_rfc9112_3_2_repeated_host_is_400(server: HttpServer) -> None:
    assert ask(server, GET, "Host: boot").status == 400


def test_rfc9112_3_2_invalid_host_is_400(server: HttpServer) -> None:
    assert send(server, b"GET /a.efi HTTP/1.1\r\nHost: a@b/c\r\n\r\n").status == 400


@pytest.mark.parametrize("host", ["10.0.0.1", "10.0.0.1:8080", "boot.rack.test", "[fe80::1]:80", ""])
def test_rfc9112_3_2_any_valid_host_is_served(server: HttpServer, host: str) -> None:
    assert send(server, f"GET /a.efi HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()).rest == BODY


def test_rfc9112_3_2_2_absolute_form_is_accepted(server: HttpServer) -> None:
    assert ask(server, "GET http://elsewhere:81/a.efi HTTP/1.1").rest == BODY


def test_rfc9112_5_1_space_before_the_colon_is_400(server: HttpServer) -> None:
    assert ask(server, GET, "X : 1").status == 400


def test_rfc9112_5_2_folded_line_is_400(server: HttpServer) -> None:
    assert ask(server, GET, "X: 1\r\n 2").status == 400


def test_rfc9112_6_1_transfer_encoding_with_content_length_is_400_and_closes(server: HttpServer) -> None:
    smuggled = b"0\r\n\r\nGET /a.efi HTTP/1.1\r\nHost: boot\r\n\r\n"
    raw = b"POST /echo HTTP/1.1\r\nHost: boot\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled
    reply = converse(server, raw)
    assert [Answer(reply).status, reply.count(b"HTTP/1.1 ")] == [400, 1]


def test_rfc9112_6_1_unknown_transfer_coding_is_501(server: HttpServer) -> None:
    assert ask(server, "POST /echo HTTP/1.1", "Transfer-Encoding: x, chunked").status == 501


def test_rfc9112_6_3_chunked_body_is_answered_411(server: HttpServer) -> None:
    assert ask(server, "POST /echo HTTP/1.1", "Transfer-Encoding: chunked", body=b"0\r\n\r\n").status == 411


@pytest.mark.parametrize(
    "lengths", [("5", "6"), ("5", "5"), ("5, 5",), ("+5",), ("0x5",), ("-1",), ("5 5",), ("\u0665",)]
)
def test_rfc9112_6_3_invalid_or_repeated_content_length_is_400(server: HttpServer, lengths: tuple[str, ...]) -> None:
    fields = (f"Content-Length: {length}".encode().decode("latin-1") for length in lengths)
    assert ask(server, "POST /echo HTTP/1.1", *fields, body=b"12345").status == 400


def test_rfc9112_6_3_body_is_as_long_as_content_length_says(server: HttpServer) -> None:
    raw = b"POST /echo HTTP/1.1\r\nHost: boot\r\nContent-Length: 3\r\n\r\nabc"
    reply = converse(server, raw + b"GET /a.efi HTTP/1.0\r\n\r\n")
    assert re.findall(rb"\r\n\r\n(abc|0123456789)", reply) == [b"abc", BODY]


def test_rfc9112_9_3_http_1_1_connection_persists(server: HttpServer) -> None:
    raw = b"GET /a.efi HTTP/1.1\r\nHost: boot\r\n\r\n"
    reply = converse(server, raw * 2 + b"GET /a.efi HTTP/1.1\r\nHost: boot\r\nConnection: close\r\n\r\n")
    assert (reply.count(b"Connection: keep-alive"), reply.count(b"Connection: close")) == (2, 1)


def test_rfc9112_9_3_http_1_0_connection_ends_unless_asked(server: HttpServer) -> None:
    raw = b"GET /a.efi HTTP/1.0\r\n%s\r\n"
    assert converse(server, raw % b"" * 2).count(b"HTTP/1.1 200") == 1
    kept = converse(server, raw % b"Connection: Keep-Alive\r\n" + raw % b"")
    assert kept.count(b"HTTP/1.1 200") == 2


def test_rfc9112_9_3_2_pipelined_requests_are_answered_in_order(server: HttpServer) -> None:
    raw = b"".join(
        b"POST %s HTTP/1.1\r\nHost: boot\r\nContent-Length: 2\r\n\r\n%02d" % (path, n)
        for n, path in enumerate([b"/echo/slow", b"/echo", b"/echo/slow", b"/echo/slow", b"/echo"])
    )
    reply = converse(server, raw + b"GET /a.efi HTTP/1.0\r\n\r\n")
    assert re.findall(rb"\r\n\r\n(\d\d)", reply) == [b"00", b"01", b"02", b"03", b"04", b"01"]


def test_rfc9112_9_6_answer_arrives_although_the_client_still_sends(server: HttpServer) -> None:
    assert ask(server, "POST /echo HTTP/1.1", "Content-Length: 99999999", body=b"x" * 3_000_000).status == 413


# RFC 9110: semantics


def test_rfc9110_5_1_field_names_are_case_insensitive(server: HttpServer) -> None:
    assert ask(server, GET, "rANGE: bytes=0-1").rest == b"01"


def test_rfc9110_6_6_1_date_is_sent(server: HttpServer) -> None:
    date = ask(server, GET).headers["date"]
    assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)


def test_rfc9110_8_6_no_content_length_with_204(server: HttpServer) -> None:
    answer = ask(server, "POST /echo/none HTTP/1.1")
    assert (answer.status, "content-length" in answer.headers, answer.rest) == (204, False, b"")


def test_rfc9110_9_1_unknown_method_is_501_and_a_known_one_405(server: HttpServer) -> None:
    assert ask(server, "BREW /a.efi HTTP/1.1").status == 501
    refused = ask(server, "DELETE /a.efi HTTP/1.1")
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


def test_rfc9110_9_3_2_head_is_get_without_content(server: HttpServer) -> None:
    head, get = ask(server, "HEAD /a.efi HTTP/1.1"), ask(server, GET)
    assert (head.rest, head.headers | {"date": ""}) == (b"", get.headers | {"date": ""})


def test_rfc9110_10_1_1_continue_is_sent_before_the_body_is_read(server: HttpServer) -> None:
    with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as sock:
        sock.sendall(b"POST /echo HTTP/1.1\r\nHost: boot\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"ok")
        assert sock.recv(1000).endswith(b"\r\n\r\nok")


def test_rfc9110_10_1_1_refusal_comes_instead_of_continue(server: HttpServer) -> None:
    answer = ask(server, "POST /echo HTTP/1.1", "Expect: 100-continue", "Content-Length: 99999999")
    assert answer.status == 413


def test_rfc9110_10_2_4_no_server_field(server: HttpServer) -> None:
    """An empty one hangs EDK2 (edk2#7443), and a full one helps attackers only."""
    assert "server" not in ask(server, GET).headers


def test_rfc9110_13_1_1_if_match_fails_with_412(server: HttpServer) -> None:
    assert ask(server, GET, 'If-Match: "old"').status == 412


def test_rfc9110_13_1_2_if_none_match_is_304_without_content(server: HttpServer) -> None:
    answer = ask(server, GET, 'If-None-Match: "old", W/"abc"')
    assert (answer.status, answer.rest, answer.headers["etag"]) == (304, b"", '"abc"')


def test_rfc9110_13_1_5_if_range_of_another_version_gets_all(server: HttpServer) -> None:
    assert ask(server, GET, "Range: bytes=5-", 'If-Range: "old"').rest == BODY
    assert ask(server, GET, "Range: bytes=5-", 'If-Range: "abc"').rest == b"56789"


def test_rfc9110_13_1_5_if_range_needs_a_strong_tag(server: HttpServer) -> None:
    assert ask(server, GET, "Range: bytes=5-", 'If-Range: W/"abc"').status == 200


def test_rfc9110_13_2_2_if_none_match_goes_before_range(server: HttpServer) -> None:
    assert ask(server, GET, "Range: bytes=5-", 'If-None-Match: "abc"').status == 304


def test_rfc9110_14_1_1_last_byte_beyond_the_end_is_the_end(server: HttpServer) -> None:
    answer = ask(server, GET, "Range: bytes=8-100")
    assert (answer.headers["content-range"], answer.headers["content-length"]) == ("bytes 8-9/10", "2")


def test_rfc9110_14_1_2_suffix_range(server: HttpServer) -> None:
    assert ask(server, GET, "Range: bytes=-3").rest == b"789"


def test_rfc9110_14_2_range_is_for_get_alone(server: HttpServer) -> None:
    answer = ask(server, "HEAD /a.efi HTTP/1.1", "Range: bytes=0-1")
    assert (answer.status, answer.headers["content-length"]) == (200, "10")


def test_rfc9110_14_2_several_ranges_get_all(server: HttpServer) -> None:
    answer = ask(server, GET, "Range: bytes=0-1,4-5")
    assert (answer.status, answer.rest) == (200, BODY)


def test_rfc9110_14_2_invalid_or_foreign_range_is_ignored(server: HttpServer) -> None:
    for wanted in ("bytes=5-2", "bytes=a-b", "bytes=-", "bytes", "lines=0-1"):
        assert ask(server, GET, f"Range: {wanted}").status == 200


def test_rfc9110_14_3_ranges_are_announced(server: HttpServer) -> None:
    assert ask(server, GET).headers["accept-ranges"] == "bytes"


def test_rfc9110_15_5_17_range_beyond_the_end_is_416_and_says_the_size(server: HttpServer) -> None:
    answer = ask(server, GET, "Range: bytes=10-")
    assert (answer.status, answer.headers["content-range"]) == (416, "bytes */10")


def test_rfc9110_15_5_9_half_a_request_is_408_in_time() -> None:
    server = started(Caps(head=0.05))
    try:
        assert send(server, b"GET /a.efi HT").status == 408
    finally:
        server.stop()


def test_rfc9110_15_6_4_next_wave_is_503_with_retry_after_on_a_living_connection() -> None:
    """iPXE tries again after Retry-After (httpcore.c, http_rx_retry_after)."""
    server = started(Caps(downloads=1))
    large = b"GET /large.iso HTTP/1.1\r\nHost: boot\r\n\r\n"
    try:
        with socket.create_connection((str(ADDRESS), server.port), DEADLINE) as first:
            first.sendall(large)
            first.recv(1)
            busy = send(server, large + b"GET /a.efi HTTP/1.0\r\n\r\n")
            grub = b"GET /large.iso HTTP/1.0\r\nUser-Agent: GRUB 2.06\r\n\r\n"
            assert send(server, grub).status == 200
        assert (busy.status, busy.headers["retry-after"], busy.headers["connection"]) == (503, "10", "keep-alive")
        assert re.match(rb"1 large downloads .* try again in 10 s\n", busy.rest)
        assert busy.rest.endswith(BODY)
    finally:
        server.stop()


# UEFI HTTP Boot


def test_uefi_2_10_24_7_3_1_media_type_says_what_to_boot(server: HttpServer) -> None:
    assert ask(server, "HEAD /a.efi HTTP/1.1").headers["content-type"] == "application/efi"
    assert ask(server, "HEAD /large.iso HTTP/1.1").headers["content-type"] == "application/vnd.efi-iso"


def test_uefi_http_boot_head_then_get_on_one_connection(server: HttpServer) -> None:
    """EDK2 fails when the server closes after each response (edk2#9920), and without a length (edk2#9743)."""
    raw = b"%s /a.efi HTTP/1.1\r\nHost: 10.0.0.1\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n"
    reply = converse(server, raw % b"HEAD" + raw % b"GET" + b"GET /none HTTP/1.0\r\n\r\n")
    assert reply.count(b"Content-Length: 10\r\n") == 2
    assert reply.count(BODY) == 1
    assert b"Transfer-Encoding" not in reply


def test_shim_asks_with_a_doubled_slash(server: HttpServer) -> None:
    assert ask(server, "GET //a.efi HTTP/1.1").rest == BODY


def test_bmc_virtual_media_reads_sectors_over_http_1_0(server: HttpServer) -> None:
    raw = b"".join(
        b"GET /large.iso HTTP/1.0\r\nconnection: keep-alive\r\nrange: bytes=%d-%d\r\n\r\n" % (n * 2048, n * 2048 + 2047)
        for n in range(200)
    )
    reply = converse(server, raw + b"HEAD /large.iso HTTP/1.0\r\n\r\n")
    assert (reply.count(b"HTTP/1.1 206 "), reply.count(b"Content-Length: 2048\r\n")) == (200, 200)
    assert f"Content-Length: {LARGE}\r\n".encode() in reply

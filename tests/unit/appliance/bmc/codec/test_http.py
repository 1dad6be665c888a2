"""Answers as BMCs frame them, whole and byte by byte; what is broken, endless or ambiguous is refused."""

import gzip
import zlib

import pytest

from appliance.bmc.codec.http import MAX_HEAD, Response, ResponseReader, TooLargeError, pack_request
from pxe.errors import PacketError

MOST = 1000
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def read(data: bytes, *, step: int = 0, most: int = MOST) -> Response:
    """What the connection brings, `step` bytes at a time; then it is closed."""
    reader = ResponseReader(most)
    for at in range(0, len(data), step or len(data)):
        if (response := reader.feed(data[at : at + (step or len(data))])) is not None:
            return response
    return reader.end()


def packed(coding: bytes, body: bytes) -> bytes:
    return OK + b"Content-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body


@pytest.mark.parametrize("step", [0, 1, 7])
@pytest.mark.parametrize(
    ("data", "body", "again"),
    [
        (OK + b"Content-Length: 2\r\n\r\n{}", b"{}", True),
        (OK + b"content-length:2\r\ncontent-length: 2 \r\n\r\n{}", b"{}", True),
        (OK + b"Content-Length: 2\r\nConnection: Close\r\n\r\n{}", b"{}", False),
        (b"HTTP/1.0 200\r\nContent-Length: 2\r\n\r\n{}", b"{}", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", b"{}", True),
        (CHUNKED + b"1\r\n{\r\n01;x=y\r\n}\r\n0\r\n\r\n", b"{}", True),
        (CHUNKED + b"A\r\n0123456789\r\n0\r\nDigest: x\r\n\r\n", b"0123456789", True),
        (CHUNKED + b"0\r\n\r\n", b"", True),
        (OK + b"\r\n{}", b"{}", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\n{}", b"{}", True),
        (packed(b"gzip", gzip.compress(b"{}", mtime=0)), b"{}", True),
        (packed(b"deflate", zlib.compress(b"{}")), b"{}", True),
    ],
)
def test_framing(data: bytes, body: bytes, again: bool, step: int) -> None:
    response = read(data, step=step)
    assert (response.body, response.again) == (body, again)


def test_status_and_fields() -> None:
    response = read(b"HTTP/1.1 201 Created\r\nX-Auth-Token: t\xe4 \r\nLocation:/a\r\nContent-Length: 0\r\n\r\n")
    assert response.status == 201
    assert response.headers == (("X-Auth-Token", "tä"), ("Location", "/a"), ("Content-Length", "0"))


def test_bytes_behind_an_answer_end_the_connection() -> None:
    assert not read(OK + b"Content-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n").again


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-dropbear\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"Name : space\r\n\r\n",
        OK + b"A: b\r\n folded\r\n\r\n",
        OK + b"A: b\rc: d\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        OK + b"Content-Length: -2\r\n\r\n{}",
        OK + b"Content-Length: 2, 2\r\n\r\n{}",
        OK + "Content-Length: ²\r\n\r\n{}".encode("latin-1"),
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Content-Length: 3\r\n\r\n{}",
        CHUNKED + b"x\r\n",
        CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
        CHUNKED + b"1\r\n{\r\n",
        OK,
        packed(b"gzip", b"no gzip"),
        packed(b"gzip", gzip.compress(b"{}", mtime=0)[:-1]),
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    ],
)
def test_broken_answer(data: bytes, step: int) -> None:
    with pytest.raises(PacketError):
        read(data, step=step)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"Content-Length: 1001\r\n\r\n",
        OK + b"\r\n" + b"x" * 1001,
        CHUNKED + b"3e9\r\n",
        CHUNKED + b"1\r\nx\r\n" * 1001,
        CHUNKED + b"0\r\n" + b"A: b\r\n" * 100,
        OK + b"A: " + b"b" * MAX_HEAD,
        OK + b"A: b\r\n" * 200 + b"\r\n",
        packed(b"gzip", gzip.compress(bytes(1001))),
        packed(b"gzip", gzip.compress(bytes(1 << 20))),
    ],
    ids=range(9),
)
def test_answer_without_end(data: bytes) -> None:
    with pytest.raises(TooLargeError):
        read(data)


def test_line_of_a_chunk_without_end() -> None:
    with pytest.raises(PacketError):
        read(CHUNKED + b"1;" + b"x" * 10_000)


def test_request() -> None:
    assert (
        pack_request("GET", "/redfish/v1/", [("Host", "bmc")], b"") == b"GET /redfish/v1/ HTTP/1.1\r\nHost: bmc\r\n\r\n"
    )
    posted = pack_request("POST", "/x", [("Host", "bmc")], b"{}")
    assert posted == b"POST /x HTTP/1.1\r\nHost: bmc\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("target", "value"), [("/a b", ""), ("/a\r\n", ""), ("/", "x\r\nHost: y"), ("/", "x\n"), ("/", "\0"), ("/", "€")]
)
def test_request_that_would_be_read_as_more(target: str, value: str) -> None:
    with pytest.raises(PacketError):
        pack_request("GET", target, [("X-Auth-Token", value)], b"")

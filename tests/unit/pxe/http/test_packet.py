import pytest

from pxe.http.packet import RequestError, RequestHead, pack_head, parse_head


def parsed(raw: bytes) -> RequestHead:
    found = parse_head(raw)
    assert found is not None
    return found[0]


@pytest.mark.parametrize(
    ("line", "method", "path", "query"),
    [
        (b"GET / HTTP/1.1", "GET", "/", {}),
        (b"HEAD /a%20b HTTP/1.0", "HEAD", "/a b", {}),
        (
            b"GET /boot.ipxe?mac=52-54-00-00-00-01&uuid= HTTP/1.1",
            "GET",
            "/boot.ipxe",
            {"mac": "52-54-00-00-00-01", "uuid": ""},
        ),
        (b"GET http://10.0.0.1:8080/x?a=1 HTTP/1.1", "GET", "/x", {"a": "1"}),
        (b"GET http://10.0.0.1 HTTP/1.1", "GET", "/", {}),
        (b"GET http://10.0.0.1?a=1 HTTP/1.1", "GET", "/", {"a": "1"}),
        (b"GET HTTPS://a/b HTTP/1.1", "GET", "/b", {}),
        (b"GET //grubx64.efi HTTP/1.1", "GET", "/grubx64.efi", {}),
        (b"GET /a//b%2f///c HTTP/1.1", "GET", "/a/b/c", {}),
        (b"GET /?a+b=%2B&&c HTTP/1.1", "GET", "/", {"a b": "+", "c": ""}),
        (b"GET /a?x=1&x=2#f HTTP/1.1", "GET", "/a", {"x": "2"}),
        (b"GET /%zz%ff HTTP/1.1", "GET", "/%zz\ufffd", {}),
        (b"GET /../../etc/passwd HTTP/1.1", "GET", "/../../etc/passwd", {}),
    ],
)
def test_request_line(line: bytes, method: str, path: str, query: dict[str, str]) -> None:
    head = parsed(line + b"\r\nHost: a\r\n\r\n")
    assert (head.method, head.path, dict(head.query)) == (method, path, query)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET x HTTP/1.1\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: \0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        (b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\nX: b", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8388609\r\n\r\n", 413),
        (b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /?" + b"a&" * 65 + b" HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 16384, 431),
    ],
)
def test_request_refused(raw: bytes, status: int) -> None:
    with pytest.raises(RequestError) as caught:
        parse_head(raw)
    assert caught.value.status == status


def test_head_may_come_in_pieces() -> None:
    raw = b"\r\nPOST /report HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
    assert [parse_head(raw[:n]) for n in range(len(raw))] == [None] * len(raw)
    found = parse_head(raw + b"abcGET")
    assert found is not None
    assert (found[0].length, found[1]) == (3, len(raw))


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Close", False),
        (b"1.1", b"upgrade, close", False),
        (b"1.0", b"", False),
        (b"1.0", b"Keep-Alive", True),
    ],
)
def test_keep_alive(version: bytes, connection: bytes, kept: bool) -> None:
    assert (
        parsed(b"GET / HTTP/" + version + b"\r\nHost: a\r\nConnection: " + connection + b"\r\n\r\n").keep_alive is kept
    )


def test_packed_values_cannot_split_the_head() -> None:
    assert pack_head(200, (("X", "a\r\nSet-Cookie: b"),)) == b"HTTP/1.1 200 OK\r\nX: a  Set-Cookie: b\r\n\r\n"

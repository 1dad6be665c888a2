import contextlib
from urllib.parse import quote, urlencode

from hypothesis import given
from hypothesis import strategies as st

from pxe.content import BytesContent
from pxe.http.packet import RequestError, RequestHead, pack_head, parse_head
from pxe.http.responder import respond

printable = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
text = st.text(max_size=30).filter(lambda s: s.isprintable())
names = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True).filter(
    lambda name: name.lower() not in ("content-length", "host", "transfer-encoding")
)


@given(
    st.binary(max_size=400)
    | st.binary(max_size=200).map(lambda tail: b"GET / HTTP/1.1\r\nHost: a\r\n" + tail + b"\r\n\r\n")
)
def test_parse_is_total(raw: bytes) -> None:
    found = None
    with contextlib.suppress(RequestError):
        found = parse_head(raw)
    if found is not None:
        assert found[0].path.startswith("/")
        assert found[1] <= len(raw)


# An empty segment is not kept: shim asks for //grubx64.efi.
paths = text.filter(lambda s: "//" not in "/" + s)


@given(paths, st.dictionaries(text, text, max_size=8), st.dictionaries(names.map(str.lower), printable, max_size=8))
def test_request_round_trip(path: str, query: dict[str, str], headers: dict[str, str]) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    raw = f"GET /{quote(path)}?{urlencode(query)} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()
    if len(raw) > 7500:
        return
    found = parse_head(raw)
    assert found is not None
    head, used = found
    assert (head.path, dict(head.query), used) == ("/" + path, query, len(raw))
    assert dict(head.headers) == {"host": "a"} | {name: value.strip(" \t") for name, value in headers.items()}


@given(st.integers(100, 599), st.lists(st.tuples(names, text), max_size=5))
def test_response_head_has_as_many_lines_as_headers(status: int, headers: list[tuple[str, str]]) -> None:
    raw = pack_head(status, tuple(headers))
    assert raw.endswith(b"\r\n\r\n")
    assert raw.count(b"\n") == len(headers) + 2


@given(st.binary(max_size=50), st.text(st.sampled_from("bytes=-, 0123456789"), max_size=12))
def test_response_is_always_within_the_content(data: bytes, wanted: str) -> None:
    head = RequestHead(method="GET", path="/", headers={"range": "bytes=" + wanted})
    response = respond(head, BytesContent(data=data))
    assert response.status in (200, 206, 416)
    assert 0 <= response.start <= response.start + response.count <= response.content.size
    assert response.length == response.count

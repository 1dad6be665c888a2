"""Whatever a BMC sends, and however it is cut: a response or a `PacketError`, the same each time."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from appliance.bmc.codec.http import Response, ResponseReader
from pxe.errors import PacketError

MOST = 200
PIECES = (
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.0 204 \r\n",
    b"HTTP/1.1 100 Continue\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Content-Length: 3\r\n",
    b"Connection: close\r\n",
    b"\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n\r\n",
    bytes(201),
)
streams = st.one_of(
    st.binary(max_size=300), st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=12).map(b"".join)
)


def outcome(data: bytes, cuts: list[int]) -> tuple[int, bytes] | None:
    reader, edges = ResponseReader(MOST), sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    response: Response | None = None
    try:
        for begin, end in pairwise(edges):
            if (response := reader.feed(data[begin:end])) is not None:
                break
        response = response or reader.end()
    except PacketError:
        return None
    assert len(response.body) <= MOST
    return response.status, response.body


@given(streams, st.lists(st.integers(min_value=0, max_value=300), max_size=8))
def test_answer_is_read_the_same_however_it_is_cut(data: bytes, cuts: list[int]) -> None:
    assert outcome(data, cuts) == outcome(data, [])

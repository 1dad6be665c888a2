"""The real Http port: HTTP/1.1 to one server, one kept-alive connection for messages, one per file."""

import http.client
import re

from .errors import LinkError, TaskError
from .ports import Reply
from .protocol import NONCE_HEADER

_MESSAGE_TIMEOUT = 10.0
_FILE_TIMEOUT = 30.0
_MAX_REPLY = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")


class Body:
    """A file that is being fetched."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse, total: int) -> None:
        self._connection = connection
        self._response = response
        self.total = total

    def read(self, size: int) -> bytes:
        try:
            data = self._response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise LinkError("the connection broke off", evidence=repr(error)[:200]) from error
        if len(data) != size:
            raise LinkError("the connection ended early", evidence=f"{len(data)} of {size} bytes")
        return data

    def close(self) -> None:
        self._connection.close()


class HttpConnection:
    def __init__(self, host: str, port: int, nonce: str) -> None:
        self._host, self._port, self._nonce = host, port, nonce
        self._messages: http.client.HTTPConnection | None = None

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        reply = self._post_kept(path, body, headers)
        if reply is None:
            reply = self._post(self._connect(_MESSAGE_TIMEOUT), path, body, headers)
        if reply.status >= 500:
            raise LinkError(f"the server answered {reply.status}", evidence=ascii(reply.body[:200]))
        return reply

    def close(self) -> None:
        if self._messages is not None:
            self._messages.close()
            self._messages = None

    def _post_kept(self, path: str, body: bytes, headers: dict[str, str]) -> Reply | None:
        """None if the kept connection is of no use: the server may close an idle one, and all may be said twice."""
        kept, self._messages = self._messages, None
        if kept is None:
            return None
        try:
            return self._post(kept, path, body, headers)
        except LinkError:
            return None

    def _post(self, connection: http.client.HTTPConnection, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        try:
            connection.request("POST", path, body, {NONCE_HEADER: self._nonce, **headers})
            response = connection.getresponse()
            data = response.read(_MAX_REPLY)
            complete = response.isclosed() or response.length == 0
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise LinkError("the server does not answer", evidence=repr(error)[:200]) from error
        if complete:
            response.close()
            self._messages = connection
        else:
            connection.close()
        told = {name.lower(): value for name, value in response.getheaders()}
        return Reply(status=response.status, body=data, headers=told)

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._host, self._port, timeout=timeout)

    def open(self, path: str, *, start: int) -> Body:
        connection = self._connect(_FILE_TIMEOUT)
        wanted = {"Range": f"bytes={start}-"} if start else {}
        try:
            connection.request("GET", path, headers={NONCE_HEADER: self._nonce, **wanted})
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise LinkError("the server does not answer", evidence=repr(error)[:200]) from error
        try:
            return Body(connection, response, _total(response, path, start))
        except (LinkError, TaskError):
            connection.close()
            raise


def _total(response: http.client.HTTPResponse, path: str, start: int) -> int:
    """The size of the whole file, once the answer is known to start at `start`."""
    if response.status in (408, 429) or response.status >= 500:
        raise LinkError(f"the server answered {response.status}", evidence=path)
    length = response.length
    if response.status == 200 and start == 0 and length is not None:
        return length
    given = _CONTENT_RANGE.fullmatch(response.getheader("Content-Range", ""))
    if response.status == 206 and given and int(given[1]) == start:
        return int(given[2])
    raise TaskError(
        f"the server has no bytes from {start} on of {path}",
        evidence=f"status {response.status}, Content-Range {response.getheader('Content-Range', '-')[:60]}",
        next_action="Check that the image is complete in the image library.",
    )

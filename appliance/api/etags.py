"""What a GET shows has an ETag, and a change may be held against it."""

from collections.abc import Callable, Coroutine

from fastapi import Request, Response
from fastapi.routing import APIRoute

from appliance.errors import StaleError, UnguardedError
from appliance.model.codec import etag_of, tag_of

_READ_AGAIN = "read it again, and send the ETag that you got: If-Match"


def guard(request: Request, view: object, *, required: bool = False) -> None:
    """Holds a change against what it was based on (RFC 9110 section 13.1.1). `view` is what a GET shows now.

    Raises `StaleError`, and `UnguardedError` where `required` and not said.
    """
    said = request.headers.get("if-match")
    if said is None:
        if required:
            raise UnguardedError("two people may edit this at once", next_action=_READ_AGAIN)
        return
    if said.strip() != "*":
        refuse_stale(said, view, _READ_AGAIN)


def refuse_stale(said: str, view: object, next_action: str) -> None:
    """Raises `StaleError` unless the view has one of the tags."""
    if etag_of(view) not in _listed(said):
        raise StaleError("it has changed since it was read", next_action=next_action)


class Tagged(APIRoute):
    """What a GET shows gets an ETag; 304 for whom it is nothing new (RFC 9110 section 13.1.2)."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[None, None, Response]]:
        handle = super().get_route_handler()
        if self.methods != {"GET"}:
            return handle

        async def tagged(request: Request) -> Response:
            response = await handle(request)
            body = getattr(response, "body", None)
            if response.status_code != 200 or not isinstance(body, bytes):
                return response
            etag = tag_of(body)
            if _is_known(request.headers.get("if-none-match", ""), etag):
                return Response(status_code=304, headers={"ETag": etag})
            response.headers["ETag"] = etag
            return response

        return tagged


def _is_known(header: str, etag: str) -> bool:
    """Weak comparison: a cache on the way may have weakened it."""
    return header.strip() == "*" or etag in {known.removeprefix("W/") for known in _listed(header)}


def _listed(header: str) -> set[str]:
    return {part.strip() for part in header.split(",")}

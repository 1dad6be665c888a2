"""The picture of a machine's screen. Redfish knows none; makers have actions of their own for it. Pure.

Ours (`appliance.redfish`) stands at the manager. Dell's is DellLCService.ExportServerScreenShot (iDRAC 9, Redfish API
guide), at a service that the manager links to; known from its documentation, not seen on hardware.
"""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from appliance.bmc import redfish_codec as codec
from appliance.errors import BmcError

CAPTURE = "InnervateManager.CaptureScreen"
IMAGE = "Image"
_DELL = "DellLCService.ExportServerScreenShot"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEAD, _SIZE = Struct(">I4s"), Struct(">II")
_MOST_PIXELS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What is posted where, and the key of the answer that holds the picture in base64."""

    target: str
    body: codec.JsonObject
    key: str


def holder(manager: codec.JsonObject) -> str:
    """The path of the service with the action where it is not the manager itself, else ""."""
    return codec.link(manager, "Links", "Oem", "Dell", "DellLCService")


def way(document: codec.JsonObject) -> Way | None:
    """Of the manager, or of what it links to; None where there is none."""
    if (dell := codec.action(document, _DELL)) is not None:
        return Way(target=dell.target, body={"FileType": "ServerScreenShot"}, key="ServerScreenShotFile")
    ours = codec.action({"Actions": codec.part(codec.part(document, "Actions"), "Oem")}, CAPTURE)
    return Way(target=ours.target, body={}, key=IMAGE) if ours is not None else None


def picture(answer: bytes, key: str) -> bytes:
    """A PNG, of a size that no browser minds. Raises `BmcError`."""
    said = codec.parse_document(answer).get(key)
    try:
        data = base64.b64decode("".join(said.split()), validate=True) if isinstance(said, str) else b""
    except (binascii.Error, ValueError) as error:
        raise _useless(repr(said[:40]) if isinstance(said, str) else key) from error
    if not is_png(data):
        raise _useless(data[:16].hex())
    return data


def is_png(data: bytes) -> bool:
    """Its structure (PNG specification, third edition, sections 5.2 and 5.3): signature, header first, nothing behind
    the end. What is in its chunks is the viewer's to judge."""
    chunks = tuple(_chunks(data))
    if not chunks or chunks[0] != (b"IHDR", 13) or chunks[-1] != (b"IEND", 0):
        return False
    whole = len(_SIGNATURE) + sum(_HEAD.size + size + 4 for _, size in chunks)
    width, height = _SIZE.unpack_from(data, len(_SIGNATURE) + _HEAD.size)
    return whole == len(data) and 0 < width <= _MOST_PIXELS and 0 < height <= _MOST_PIXELS


def _chunks(data: bytes) -> Iterator[tuple[bytes, int]]:
    """Kind and size of each, as far as they are whole."""
    at = len(_SIGNATURE)
    if not data.startswith(_SIGNATURE):
        return
    while at + _HEAD.size <= len(data):
        size, kind = _HEAD.unpack_from(data, at)
        at += _HEAD.size + size + 4
        if at <= len(data):
            yield kind, size


def _useless(seen: str) -> BmcError:
    action = "look at the screen on the BMC's own page"
    return BmcError("the BMC's picture of the screen is no PNG", evidence=seen, next_action=action)

"""Pictures of screens: where they are asked for, and what counts as one."""

import base64
import json

import pytest

from appliance.bmc.codec import screen
from appliance.bmc.redfish_codec import JsonObject
from appliance.errors import BmcError
from tests.pictures import SIGNATURE, chunk, png

OURS = "/redfish/v1/Managers/node-0/Actions/Oem/InnervateManager.CaptureScreen"
DELL = "/redfish/v1/Managers/iDRAC.Embedded.1/Oem/Dell/DellLCService"
EXPORT = f"{DELL}/Actions/DellLCService.ExportServerScreenShot"


def test_where_it_is_asked_for() -> None:
    ours: JsonObject = {
        "Actions": {"#Manager.Reset": {"target": "/r"}, "Oem": {f"#{screen.CAPTURE}": {"target": OURS}}}
    }
    assert screen.way(ours) == screen.Way(target=OURS, body={}, key="Image")
    dell: JsonObject = {"Actions": {"#DellLCService.ExportServerScreenShot": {"target": EXPORT}}}
    assert screen.way(dell) == screen.Way(
        target=EXPORT, body={"FileType": "ServerScreenShot"}, key="ServerScreenShotFile"
    )
    assert screen.way({"Actions": {"#Manager.Reset": {"target": "/r"}}}) is None
    assert screen.holder({"Links": {"Oem": {"Dell": {"DellLCService": {"@odata.id": DELL}}}}}) == DELL
    assert screen.holder({"Links": {}}) == ""


@pytest.mark.parametrize("data", [png(), png(1920, 1080), png(4096, 1)])
def test_pictures(data: bytes) -> None:
    text = base64.encodebytes(data).decode()
    assert screen.picture(json.dumps({"Image": text}).encode(), "Image") == data


HEAD = chunk(b"IHDR", bytes((0, 0, 0, 4, 0, 0, 0, 3, 1, 0, 0, 0, 0)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        SIGNATURE,
        b"<svg onload=alert(1)>",
        b"GIF89a" + png(),
        png() + b"<script>alert(1)</script>",
        png()[:-1],
        png()[:40],
        png(4097, 1),
        png(1, 4097),
        png(0, 1),
        SIGNATURE + chunk(b"IEND"),
        SIGNATURE + HEAD,
        SIGNATURE + chunk(b"IDAT", b"x") + HEAD + chunk(b"IEND"),
        SIGNATURE + chunk(b"IHDR", b"short") + chunk(b"IEND"),
        SIGNATURE + HEAD + b"\xff\xff\xff\xffIDAT" + chunk(b"IEND"),
    ],
    ids=[
        "nothing",
        "signature-alone",
        "svg",
        "gif-before",
        "script-behind",
        "cut-short",
        "cut-in-a-chunk",
        "too-wide",
        "too-high",
        "no-width",
        "no-head",
        "no-end",
        "head-not-first",
        "head-too-short",
        "chunk-of-4-gb",
    ],
)
def test_what_is_none(data: bytes) -> None:
    assert not screen.is_png(data)
    with pytest.raises(BmcError, match="is no PNG") as caught:
        screen.picture(json.dumps({"Image": base64.b64encode(data).decode()}).encode(), "Image")
    assert caught.value.next_action


@pytest.mark.parametrize(
    "answer", [{}, {"Image": None}, {"Image": 7}, {"Image": "***"}, {"Image": "é"}, {"Other": "x"}]
)
def test_answers_without_one(answer: dict[str, object]) -> None:
    with pytest.raises(BmcError, match="is no PNG"):
        screen.picture(json.dumps(answer).encode(), "Image")

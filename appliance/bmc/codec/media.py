"""VirtualMedia (DSP2046). Pure."""

from appliance.bmc.codec.text import clean
from appliance.bmc.quirks import Fact, Quirks
from appliance.bmc.redfish_codec import MAX_PATH, Action, JsonObject, action, info_allowable, texts
from appliance.model.bmc import MediaSlot

INSERT = "VirtualMedia.InsertMedia"
EJECT = "VirtualMedia.EjectMedia"
_PROTOCOL = "TransferProtocolType"


def slot(document: JsonObject) -> MediaSlot:
    image = clean(document.get("Image"), MAX_PATH)
    inserted = document.get("Inserted")
    return MediaSlot(
        id=clean(document.get("Id")),
        media_types=frozenset(texts(document.get("MediaTypes"))),
        image=image,
        inserted=inserted if isinstance(inserted, bool) else bool(image),
    )


def way(document: JsonObject, name: str, quirks: Quirks) -> Action | None:
    """The action `name`; None where the medium is to be patched."""
    return None if Fact.MEDIA_BY_PATCH in quirks.facts else action(document, name)


def insertion(image: str, described: Action, info: JsonObject, quirks: Quirks) -> JsonObject:
    """The body of InsertMedia. The protocol is named to those who want it or offer a choice; others refuse it."""
    body: JsonObject = {"Image": image, "Inserted": True, "WriteProtected": True}
    offered = described.allowable(_PROTOCOL) or info_allowable(info, _PROTOCOL)
    protocol = protocol_of(image)
    if Fact.TRANSFER_PROTOCOL in quirks.facts or protocol in offered:
        body[_PROTOCOL] = protocol
    return body


def insertion_patch(image: str) -> JsonObject:
    return {"Image": image, "Inserted": True}


def ejection_patch() -> JsonObject:
    """Null is DSP2046's empty drive."""
    return {"Image": None, "Inserted": False}


def protocol_of(image: str) -> str:
    return image.partition(":")[0].upper()

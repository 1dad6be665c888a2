"""UpdateService, its inventory, and the tasks that BMCs start (DSP0266 section 14; DSP2046, Task). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.bmc.codec.media import protocol_of
from appliance.bmc.codec.text import clean
from appliance.bmc.redfish_codec import (
    EVIDENCE,
    Action,
    JsonObject,
    info_allowable,
    number,
    objects,
    parse_document,
    refusal,
)
from appliance.errors import BmcError
from appliance.model.bmc import FirmwareItem

SIMPLE_UPDATE = "UpdateService.SimpleUpdate"


def item(document: JsonObject) -> FirmwareItem:
    return FirmwareItem(
        id=clean(document.get("Id")),
        name=clean(document.get("Name")),
        version=clean(document.get("Version")),
        updateable=document.get("Updateable") is True,
    )


def request(image: str, targets: Sequence[str], described: Action, info: JsonObject) -> JsonObject:
    """The body of SimpleUpdate. `targets` are paths in the inventory."""
    body: JsonObject = {"ImageURI": image}
    offered = described.allowable("TransferProtocol") or info_allowable(info, "TransferProtocol")
    if protocol_of(image) in offered:
        body["TransferProtocol"] = protocol_of(image)
    if targets:
        body["Targets"] = list(targets)
    return body


class TaskEnd(Enum):
    RUNNING = "running"
    WELL = "well"
    BADLY = "badly"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskView:
    """`percent` is None where the BMC gives none; `said` is for people."""

    end: TaskEnd
    percent: int | None
    said: str


_WELL = ("Completed",)
_BADLY = ("Killed", "Exception", "Cancelled")


def task(status: int, body: bytes) -> TaskView:
    """What the answer from a task monitor, or from the task itself, says.

    Several BMCs answer 200 or 202 for a task that failed and say so in the body only: the body counts first.
    """
    document = _document(body)
    state, percent = clean(document.get("TaskState")), number(document.get("PercentComplete"))
    shown = int(percent) if percent is not None and 0 <= percent <= 100 else None
    if state:
        return TaskView(end=_end(state, clean(document.get("TaskStatus"))), percent=shown, said=_said(state, document))
    if status == 202:
        return TaskView(end=TaskEnd.RUNNING, percent=shown, said="")
    end = TaskEnd.WELL if 200 <= status < 300 else TaskEnd.BADLY
    return TaskView(end=end, percent=shown, said=refusal(status, body))


def _document(body: bytes) -> JsonObject:
    """The monitor of a finished operation may answer with nothing, or with what the operation did."""
    try:
        return parse_document(body)
    except BmcError:
        return {}


def _end(state: str, status: str) -> TaskEnd:
    """States that we do not know are those of a task that still runs: its deadline ends it."""
    if state in _BADLY or (state in _WELL and status == "Critical"):
        return TaskEnd.BADLY
    return TaskEnd.WELL if state in _WELL else TaskEnd.RUNNING


def _said(state: str, document: JsonObject) -> str:
    messages = [clean(message.get("Message"), EVIDENCE) for message in objects(document, "Messages")]
    return clean("; ".join([state, *(message for message in messages[-3:] if message)]), EVIDENCE)

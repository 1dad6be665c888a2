"""LogService and LogEntry (DSP2046). Pure."""

from collections.abc import Sequence
from datetime import UTC, datetime

from appliance.bmc.codec.text import clean
from appliance.bmc.redfish_codec import JsonObject, health, link
from appliance.model.bmc import EventLogEntry

CLEAR = "LogService.ClearLog"
_MESSAGE = 512
# IPMI's log under its several names, then HPE's. Others are of the BMC's own life: log-ins, audits, jobs.
_IDS = ("SEL", "Sel", "IPMI", "EventLog", "IML", "Log1", "PlatformLog", "StandardLog")


def event_log(services: Sequence[JsonObject]) -> JsonObject | None:
    """The one that hardware events are written to; None where there is none with entries."""
    kept = [service for service in services if link(service, "Entries")]
    for service in kept:
        if service.get("LogEntryType") == "SEL":
            return service
    named = {clean(service.get("Id")): service for service in kept}
    chosen = next((named[name] for name in _IDS if name in named), None)
    return chosen or (kept[0] if kept else None)


def entry(document: JsonObject) -> EventLogEntry:
    return EventLogEntry(
        id=clean(document.get("Id")),
        time=_time(clean(document.get("Created"))),
        severity=health(document.get("Severity")),
        message=clean(document.get("Message"), _MESSAGE),
        origin=clean(document.get("SensorType")) or clean(document.get("MessageId")),
    )


def _time(text: str) -> float | None:
    """BMCs without a clock say 1970, or write zeros."""
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None

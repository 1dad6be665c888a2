"""URIs <-> resources (DSP0266 section 6.1; the URIs are those of DSP0268, "URIs"). Pure."""

import re
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar
from urllib.parse import quote, unquote

V1 = "/redfish/v1"


class Kind(Enum):
    """Every resource, by the template of its URI."""

    VERSIONS = "/redfish"
    ROOT = V1
    ODATA = V1 + "/odata"
    METADATA = V1 + "/$metadata"
    SYSTEMS = V1 + "/Systems"
    SYSTEM = V1 + "/Systems/{system}"
    NICS = V1 + "/Systems/{system}/EthernetInterfaces"
    NIC = V1 + "/Systems/{system}/EthernetInterfaces/{item}"
    PROCESSORS = V1 + "/Systems/{system}/Processors"
    PROCESSOR = V1 + "/Systems/{system}/Processors/{item}"
    DIMMS = V1 + "/Systems/{system}/Memory"
    DIMM = V1 + "/Systems/{system}/Memory/{item}"
    STORAGES = V1 + "/Systems/{system}/Storage"
    STORAGE = V1 + "/Systems/{system}/Storage/Local"
    DRIVE = V1 + "/Systems/{system}/Storage/Local/Drives/{item}"
    LOGS = V1 + "/Systems/{system}/LogServices"
    LOG = V1 + "/Systems/{system}/LogServices/SEL"
    LOG_ENTRIES = V1 + "/Systems/{system}/LogServices/SEL/Entries"
    LOG_ENTRY = V1 + "/Systems/{system}/LogServices/SEL/Entries/{item}"
    CHASSIS_COLLECTION = V1 + "/Chassis"
    CHASSIS = V1 + "/Chassis/{system}"
    SENSORS = V1 + "/Chassis/{system}/Sensors"
    SENSOR = V1 + "/Chassis/{system}/Sensors/{item}"
    POWER_SUBSYSTEM = V1 + "/Chassis/{system}/PowerSubsystem"
    THERMAL_SUBSYSTEM = V1 + "/Chassis/{system}/ThermalSubsystem"
    THERMAL_METRICS = V1 + "/Chassis/{system}/ThermalSubsystem/ThermalMetrics"
    FANS = V1 + "/Chassis/{system}/ThermalSubsystem/Fans"
    FAN = V1 + "/Chassis/{system}/ThermalSubsystem/Fans/{item}"
    ENVIRONMENT = V1 + "/Chassis/{system}/EnvironmentMetrics"
    POWER = V1 + "/Chassis/{system}/Power"
    THERMAL = V1 + "/Chassis/{system}/Thermal"
    MANAGERS = V1 + "/Managers"
    MANAGER = V1 + "/Managers/{system}"
    MEDIA = V1 + "/Managers/{system}/VirtualMedia"
    MEDIUM = V1 + "/Managers/{system}/VirtualMedia/{item}"
    NETWORK_PROTOCOL = V1 + "/Managers/{system}/NetworkProtocol"
    MANAGER_NICS = V1 + "/Managers/{system}/EthernetInterfaces"
    MANAGER_NIC = V1 + "/Managers/{system}/EthernetInterfaces/{item}"
    SESSION_SERVICE = V1 + "/SessionService"
    SESSIONS = V1 + "/SessionService/Sessions"
    # DSP0266 section 13.3.4.2: POST there must do what POST to the collection does.
    SESSIONS_MEMBERS = V1 + "/SessionService/Sessions/Members"
    SESSION = V1 + "/SessionService/Sessions/{item}"
    ACCOUNT_SERVICE = V1 + "/AccountService"
    ACCOUNTS = V1 + "/AccountService/Accounts"
    ACCOUNT = V1 + "/AccountService/Accounts/{item}"
    ROLES = V1 + "/AccountService/Roles"
    ROLE = V1 + "/AccountService/Roles/{item}"
    TASK_SERVICE = V1 + "/TaskService"
    TASKS = V1 + "/TaskService/Tasks"
    TASK = V1 + "/TaskService/Tasks/{item}"
    TASK_MONITOR = V1 + "/TaskService/TaskMonitors/{item}"
    EVENT_SERVICE = V1 + "/EventService"
    SUBSCRIPTIONS = V1 + "/EventService/Subscriptions"
    SUBSCRIPTION = V1 + "/EventService/Subscriptions/{item}"
    EVENTS = V1 + "/EventService/SSE"
    UPDATE_SERVICE = V1 + "/UpdateService"
    FIRMWARE_INVENTORY = V1 + "/UpdateService/FirmwareInventory"
    FIRMWARE = V1 + "/UpdateService/FirmwareInventory/{item}"
    AGGREGATION_SERVICE = V1 + "/AggregationService"
    SOURCES = V1 + "/AggregationService/AggregationSources"
    SOURCE = V1 + "/AggregationService/AggregationSources/{item}"
    REGISTRIES = V1 + "/Registries"
    REGISTRY = V1 + "/Registries/{item}"
    SCHEMAS = V1 + "/JsonSchemas"
    SCHEMA = V1 + "/JsonSchemas/{item}"


class Action(Enum):
    """Every action, by the template of its target URI."""

    SIMPLE_UPDATE = V1 + "/UpdateService/Actions/UpdateService.SimpleUpdate"
    SUBMIT_TEST_EVENT = V1 + "/EventService/Actions/EventService.SubmitTestEvent"

    RESET_SYSTEM = V1 + "/Systems/{system}/Actions/ComputerSystem.Reset"
    CLEAR_LOG = V1 + "/Systems/{system}/LogServices/SEL/Actions/LogService.ClearLog"
    RESET_MANAGER = V1 + "/Managers/{system}/Actions/Manager.Reset"
    CAPTURE_SCREEN = V1 + "/Managers/{system}/Actions/Oem/InnervateManager.CaptureScreen"
    INSERT_MEDIA = V1 + "/Managers/{system}/VirtualMedia/{item}/Actions/VirtualMedia.InsertMedia"
    EJECT_MEDIA = V1 + "/Managers/{system}/VirtualMedia/{item}/Actions/VirtualMedia.EjectMedia"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """`system` and `item` fill the template of `kind`; "" where it has no such place."""

    kind: Kind
    system: str = ""
    item: str = ""

    @property
    def uri(self) -> str:
        return _fill(self.kind.value, self.system, self.item) + ("/" if self.kind in _SLASHED else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An action on a resource: POST only."""

    action: Action
    system: str = ""
    item: str = ""

    @property
    def uri(self) -> str:
        return _fill(self.action.value, self.system, self.item)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownAction:
    """The target of an action that the resource does not have (DSP0266 section 7.10)."""

    name: str


Target = Resource | Operation | UnknownAction

_SLASHED = (Kind.VERSIONS, Kind.ROOT)
_SEGMENT = r"(?P<{}>[A-Za-z0-9._~-]+)"
_ACTION = re.compile(V1 + r"/.+/Actions/(?:Oem/)?([A-Za-z0-9]+\.[A-Za-z0-9.]+)")
T = TypeVar("T", Kind, Action)


def route(path: str) -> Target | None:
    """The target of a path (no query); a trailing slash does not matter. Identifiers are not looked up."""
    plain = unquote(path).removesuffix("/")
    if (operation := _find(_ACTIONS, plain)) is not None:
        action, system, item = operation
        return Operation(action=action, system=system, item=item)
    if (resource := _find(_RESOURCES, plain)) is not None:
        kind, system, item = resource
        return Resource(kind=kind, system=system, item=item)
    unknown = _ACTION.fullmatch(plain)
    return UnknownAction(name=unknown[1]) if unknown else None


def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template)
    for place in ("system", "item"):
        escaped = escaped.replace(rf"\{{{place}\}}", _SEGMENT.format(place))
    return re.compile(escaped)


def _find(table: tuple[tuple[re.Pattern[str], T], ...], path: str) -> tuple[T, str, str] | None:
    for pattern, kind in table:
        if (match := pattern.fullmatch(path)) is not None:
            found = match.groupdict()
            return kind, found.get("system", ""), found.get("item", "")
    return None


def _fill(template: str, system: str, item: str) -> str:
    return template.replace("{system}", quote(system)).replace("{item}", quote(item))


# Literal segments before places: Sessions/Members is no session.
_RESOURCES = tuple((_pattern(kind.value), kind) for kind in sorted(Kind, key=lambda kind: "{item}" in kind.value))
_ACTIONS = tuple((_pattern(action.value), action) for action in Action)

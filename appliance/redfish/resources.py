"""The service's own resources: root, sessions, accounts, tasks, events, updates. Rendered; pure."""

from appliance.access.passwords import MAX_PASSWORD
from appliance.model.bmc import AccountRole, FirmwareItem, Health
from appliance.redfish.accounts import MIN_PASSWORD, Account, AuthLimits
from appliance.redfish.auth import Session
from appliance.redfish.document import JsonObject
from appliance.redfish.messages import extended_info
from appliance.redfish.model import ServiceInfo, SystemView
from appliance.redfish.privileges import PRIVILEGES
from appliance.redfish.query import MAX_LEVELS
from appliance.redfish.router import Action, Kind, Operation, Resource
from appliance.redfish.schemas import head, link
from appliance.redfish.subscriptions import RETRY_ATTEMPTS, RETRY_SECONDS, Subscription
from appliance.redfish.systems import status, time_text
from appliance.redfish.tasks import Task, TaskState

REDFISH_VERSION = "1.20.0"
UPDATE_PROTOCOLS = ("HTTP", "HTTPS")
_SERVICES = (
    ("Systems", Kind.SYSTEMS),
    ("Chassis", Kind.CHASSIS_COLLECTION),
    ("Managers", Kind.MANAGERS),
    ("SessionService", Kind.SESSION_SERVICE),
    ("AccountService", Kind.ACCOUNT_SERVICE),
    ("Tasks", Kind.TASK_SERVICE),
    ("EventService", Kind.EVENT_SERVICE),
    ("UpdateService", Kind.UPDATE_SERVICE),
    ("AggregationService", Kind.AGGREGATION_SERVICE),
    ("Registries", Kind.REGISTRIES),
    ("JsonSchemas", Kind.SCHEMAS),
)
_FEATURES: JsonObject = {
    "ExpandQuery": {"ExpandAll": True, "Levels": True, "MaxLevels": MAX_LEVELS, "Links": True, "NoLinks": True},
    "ExcerptQuery": False,
    "FilterQuery": False,
    "OnlyMemberQuery": True,
    "SelectQuery": True,
    "TopSkipQuery": True,
    "DeepOperations": {"DeepPATCH": False, "DeepPOST": False},
}


def versions() -> JsonObject:
    """Section 6.2: the one resource without OData properties."""
    return {"v1": Resource(kind=Kind.ROOT).uri}


def entries(info: ServiceInfo) -> tuple[tuple[str, Resource], ...]:
    """For the OData service document."""
    return (("Service", Resource(kind=Kind.ROOT)), *_services(info))


def _services(info: ServiceInfo) -> tuple[tuple[str, Resource], ...]:
    kinds = (pair for pair in _SERVICES if info.aggregates or pair[1] is not Kind.AGGREGATION_SERVICE)
    return tuple((name, Resource(kind=kind)) for name, kind in kinds)


def root(info: ServiceInfo) -> JsonObject:
    here = Resource(kind=Kind.ROOT)
    return {
        **head(here, "ServiceRoot", "Root service"),
        "Id": "RootService",
        "RedfishVersion": REDFISH_VERSION,
        "UUID": str(info.uuid),
        "Vendor": info.vendor,
        "Product": info.product,
        "ProtocolFeaturesSupported": _FEATURES,
        **{name: link(resource) for name, resource in _services(info)},
        "Links": {"Sessions": link(Resource(kind=Kind.SESSIONS))},
    }


def session_service(timeout: int) -> JsonObject:
    here = Resource(kind=Kind.SESSION_SERVICE)
    return {
        **head(here, "SessionService", "Session service"),
        "ServiceEnabled": True,
        "SessionTimeout": timeout,
        "Status": status(Health.OK),
        "Sessions": link(Resource(kind=Kind.SESSIONS)),
    }


def session(value: Session) -> JsonObject:
    here = Resource(kind=Kind.SESSION, item=value.id)
    return {
        **head(here, "Session", f"Session {value.id}"),
        "UserName": value.user,
        "SessionType": "Redfish",
        "CreatedTime": time_text(value.created),
    }


def account_service(limits: AuthLimits) -> JsonObject:
    here = Resource(kind=Kind.ACCOUNT_SERVICE)
    return {
        **head(here, "AccountService", "Account service"),
        "ServiceEnabled": True,
        "MinPasswordLength": MIN_PASSWORD,
        "MaxPasswordLength": MAX_PASSWORD,
        "AccountLockoutThreshold": limits.lockout_threshold,
        "AccountLockoutDuration": limits.lockout_seconds,
        "Status": status(Health.OK),
        "Accounts": link(Resource(kind=Kind.ACCOUNTS)),
        "Roles": link(Resource(kind=Kind.ROLES)),
    }


def account(value: Account, *, locked: bool) -> JsonObject:
    """The password reads as null (DSP0268, ManagerAccount)."""
    here = Resource(kind=Kind.ACCOUNT, item=value.name)
    return {
        **head(here, "ManagerAccount", f"Account {value.name}"),
        "UserName": value.name,
        "Password": None,
        "RoleId": value.role.value,
        "Enabled": value.enabled,
        "Locked": locked,
        "AccountTypes": ("Redfish",),
        "Links": {"Role": link(Resource(kind=Kind.ROLE, item=value.role.value))},
    }


def role(value: AccountRole) -> JsonObject:
    here = Resource(kind=Kind.ROLE, item=value.value)
    return {
        **head(here, "Role", f"{value.value} role"),
        "RoleId": value.value,
        "IsPredefined": True,
        "AssignedPrivileges": tuple(privilege.value for privilege in PRIVILEGES[value]),
    }


def task_service(clock: float) -> JsonObject:
    here = Resource(kind=Kind.TASK_SERVICE)
    return {
        **head(here, "TaskService", "Task service"),
        "ServiceEnabled": True,
        "DateTime": time_text(clock),
        "CompletedTaskOverWritePolicy": "Oldest",
        "LifeCycleEventOnTaskStateChange": False,
        "Status": status(Health.OK),
        "Tasks": link(Resource(kind=Kind.TASKS)),
    }


def task(value: Task) -> JsonObject:
    here = Resource(kind=Kind.TASK, item=value.id)
    ended: JsonObject = {} if value.ended is None else {"EndTime": time_text(value.ended)}
    return {
        **head(here, "Task", value.name),
        "TaskState": value.state.value,
        "TaskStatus": "OK" if value.state in (TaskState.RUNNING, TaskState.COMPLETED) else "Warning",
        "PercentComplete": value.percent,
        "StartTime": time_text(value.started),
        **ended,
        "TaskMonitor": Resource(kind=Kind.TASK_MONITOR, item=value.id).uri,
        "Messages": tuple(map(extended_info, value.messages)),
    }


def event_service() -> JsonObject:
    here = Resource(kind=Kind.EVENT_SERVICE)
    target = Operation(action=Action.SUBMIT_TEST_EVENT).uri
    return {
        **head(here, "EventService", "Event service"),
        "ServiceEnabled": True,
        "DeliveryRetryAttempts": RETRY_ATTEMPTS,
        "DeliveryRetryIntervalSeconds": RETRY_SECONDS,
        "EventFormatTypes": ("Event",),
        "IncludeOriginOfConditionSupported": False,
        "ServerSentEventUri": Resource(kind=Kind.EVENTS).uri,
        "Status": status(Health.OK),
        "Subscriptions": link(Resource(kind=Kind.SUBSCRIPTIONS)),
        "Actions": {"#EventService.SubmitTestEvent": {"target": target}},
    }


def subscription(value: Subscription) -> JsonObject:
    here = Resource(kind=Kind.SUBSCRIPTION, item=value.id)
    return {
        **head(here, "EventDestination", f"Event subscription {value.id}"),
        "Destination": value.destination,
        "Context": value.context,
        "Protocol": "Redfish",
        "SubscriptionType": "RedfishEvent",
        "EventFormatType": "Event",
        "DeliveryRetryPolicy": "TerminateAfterRetries",
        "Status": status(Health.OK),
    }


def aggregation_service() -> JsonObject:
    return {
        **head(Resource(kind=Kind.AGGREGATION_SERVICE), "AggregationService", "Aggregation service"),
        "ServiceEnabled": True,
        "Status": status(Health.OK),
        "AggregationSources": link(Resource(kind=Kind.SOURCES)),
    }


def source(view: SystemView, resource: Resource) -> JsonObject:
    """Where a machine's management comes from. Its credentials are nobody's business."""
    accessed = tuple(link(Resource(kind=kind, system=view.id)) for kind in (Kind.SYSTEM, Kind.CHASSIS, Kind.MANAGER))
    return {
        **head(resource, "AggregationSource", f"BMC of {view.name}"),
        "HostName": view.manager.host_name,
        "AggregationType": "Full",
        "UserName": None,
        "Password": None,
        "Links": {"ResourcesAccessed": accessed},
        "Status": status(view.manager.health),
    }


def update_service() -> JsonObject:
    here = Resource(kind=Kind.UPDATE_SERVICE)
    return {
        **head(here, "UpdateService", "Update service"),
        "ServiceEnabled": True,
        "Status": status(Health.OK),
        "FirmwareInventory": link(Resource(kind=Kind.FIRMWARE_INVENTORY)),
        "Actions": {
            "#UpdateService.SimpleUpdate": {
                "target": Operation(action=Action.SIMPLE_UPDATE).uri,
                "TransferProtocol@Redfish.AllowableValues": UPDATE_PROTOCOLS,
            }
        },
    }


def firmware(value: FirmwareItem, resource: Resource) -> JsonObject:
    return {
        **head(resource, "SoftwareInventory", value.name),
        "Version": value.version,
        "Updateable": value.updateable,
        "Status": status(Health.OK),
    }

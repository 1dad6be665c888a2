"""What the service itself keeps, beside what its backend knows."""

from dataclasses import dataclass

from appliance.redfish.accounts import AuthLimits
from appliance.redfish.auth import Gate
from appliance.redfish.events import EventHub
from appliance.redfish.model import ServiceInfo
from appliance.redfish.subscriptions import Subscriptions
from appliance.redfish.tasks import Tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    info: ServiceInfo
    limits: AuthLimits
    gate: Gate
    hub: EventHub
    subscriptions: Subscriptions
    tasks: Tasks

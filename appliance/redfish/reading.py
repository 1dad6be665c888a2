"""GET: from a resource to its document, over the backend."""

from appliance.model.bmc import AccountRole, FirmwareItem
from appliance.ports import Clock
from appliance.redfish import machines, resources, schemas
from appliance.redfish.backend import Backend
from appliance.redfish.desk import Desk
from appliance.redfish.document import JsonObject
from appliance.redfish.etags import with_etag
from appliance.redfish.machines import absent, given, one_of, within
from appliance.redfish.router import Kind, Resource

_MACHINES = {
    Kind.SYSTEMS: ("ComputerSystemCollection", "Systems", Kind.SYSTEM),
    Kind.CHASSIS_COLLECTION: ("ChassisCollection", "Chassis", Kind.CHASSIS),
    Kind.MANAGERS: ("ManagerCollection", "Managers", Kind.MANAGER),
}


class Reader:
    def __init__(self, backend: Backend, desk: Desk, clock: Clock) -> None:
        self._backend = backend
        self._desk = desk
        self._clock = clock

    async def read(self, resource: Resource) -> JsonObject:
        """The whole document with its entity tag, which the list of versions has none of.

        Raises `AbsentResourceError` and what the backend raises.
        """
        if resource.kind is Kind.VERSIONS:
            return resources.versions()
        return with_etag(await self._document(resource))

    async def _document(self, resource: Resource) -> JsonObject:
        match resource.kind:
            case kind if kind in machines.OF_VIEW:
                return machines.of_view(resource, await self._backend.system(resource.system), self._clock.now())
            case kind if kind in machines.OF_SENSORS:
                return machines.of_sensors(resource, await self._backend.sensors(resource.system))
            case Kind.SYSTEMS | Kind.CHASSIS_COLLECTION | Kind.MANAGERS:
                return await self._machines(resource)
            case Kind.LOG_ENTRIES | Kind.LOG_ENTRY:
                return machines.of_log(resource, await self._backend.log(resource.system))
            case Kind.MEDIA | Kind.MEDIUM:
                return machines.of_media(resource, await self._backend.media(resource.system))
            case Kind.FIRMWARE_INVENTORY | Kind.FIRMWARE:
                return await self._firmware(resource)
            case Kind.SOURCES | Kind.SOURCE if self._desk.info.aggregates:
                return await self._sources(resource)
            case Kind.SESSIONS | Kind.SESSION | Kind.ACCOUNTS | Kind.ACCOUNT | Kind.ROLES | Kind.ROLE:
                return self._people(resource)
            case Kind.TASKS | Kind.TASK | Kind.SUBSCRIPTIONS | Kind.SUBSCRIPTION:
                return self._under_way(resource)
            case Kind.REGISTRIES | Kind.REGISTRY | Kind.SCHEMAS | Kind.SCHEMA:
                return _published(resource)
            case _:
                return self._service(resource)

    def _service(self, resource: Resource) -> JsonObject:
        info = self._desk.info
        match resource.kind:
            case Kind.ROOT:
                return resources.root(info)
            case Kind.ODATA:
                return schemas.odata_document(resources.entries(info))
            case Kind.SESSION_SERVICE:
                return resources.session_service(self._desk.gate.sessions.timeout)
            case Kind.ACCOUNT_SERVICE:
                return resources.account_service(self._desk.limits)
            case Kind.TASK_SERVICE:
                return resources.task_service(self._clock.now())
            case Kind.EVENT_SERVICE:
                return resources.event_service()
            case Kind.UPDATE_SERVICE:
                return resources.update_service()
            case Kind.AGGREGATION_SERVICE if info.aggregates:
                return resources.aggregation_service()
            case _:
                raise absent(resource)

    async def _machines(self, resource: Resource) -> JsonObject:
        schema, name, kind = _MACHINES[resource.kind]
        ids = await self._backend.systems()
        return schemas.collection(resource, schema, name, tuple(Resource(kind=kind, system=each) for each in ids))

    async def _firmware(self, resource: Resource) -> JsonObject:
        found: dict[str, FirmwareItem] = {}
        for machine in await self._backend.systems():
            if resource.kind is Kind.FIRMWARE_INVENTORY or resource.item.startswith(f"{machine}."):
                found |= {f"{machine}.{item.id}": item for item in await self._backend.firmware(machine)}
        if resource.kind is Kind.FIRMWARE:
            return resources.firmware(one_of(found, resource), resource)
        return within(resource, Kind.FIRMWARE, "SoftwareInventoryCollection", "Firmware inventory", tuple(found))

    async def _sources(self, resource: Resource) -> JsonObject:
        if resource.kind is Kind.SOURCE:
            return resources.source(await self._backend.system(resource.item), resource)
        ids = await self._backend.systems()
        return within(resource, Kind.SOURCE, "AggregationSourceCollection", "Aggregation sources", ids)

    def _people(self, resource: Resource) -> JsonObject:
        gate = self._desk.gate
        match resource.kind:
            case Kind.SESSIONS:
                ids = tuple(session.id for session in gate.sessions.all())
                return within(resource, Kind.SESSION, "SessionCollection", "Sessions", ids)
            case Kind.SESSION:
                return resources.session(given(gate.sessions.find(resource.item), resource))
            case Kind.ACCOUNTS:
                names = gate.accounts.names()
                return within(resource, Kind.ACCOUNT, "ManagerAccountCollection", "Accounts", names)
            case Kind.ACCOUNT:
                account = given(gate.accounts.find(resource.item), resource)
                return resources.account(account, locked=gate.accounts.is_locked(account))
            case Kind.ROLES:
                roles = tuple(role.value for role in AccountRole)
                return within(resource, Kind.ROLE, "RoleCollection", "Roles", roles)
            case _:
                return resources.role(one_of({role.value: role for role in AccountRole}, resource))

    def _under_way(self, resource: Resource) -> JsonObject:
        desk = self._desk
        match resource.kind:
            case Kind.TASKS:
                ids = tuple(task.id for task in desk.tasks.all())
                return within(resource, Kind.TASK, "TaskCollection", "Tasks", ids)
            case Kind.TASK:
                return resources.task(given(desk.tasks.find(resource.item), resource))
            case Kind.SUBSCRIPTIONS:
                ids = tuple(each.id for each in desk.subscriptions.all())
                return within(resource, Kind.SUBSCRIPTION, "EventDestinationCollection", "Event subscriptions", ids)
            case _:
                return resources.subscription(given(desk.subscriptions.find(resource.item), resource))


def _published(resource: Resource) -> JsonObject:
    match resource.kind:
        case Kind.REGISTRIES:
            return within(resource, Kind.REGISTRY, "MessageRegistryFileCollection", "Registries", schemas.REGISTRIES)
        case Kind.REGISTRY if resource.item in schemas.REGISTRIES:
            return schemas.registry_file(resource)
        case Kind.SCHEMAS:
            return within(resource, Kind.SCHEMA, "JsonSchemaFileCollection", "Schemas", schemas.SCHEMAS)
        case Kind.SCHEMA if resource.item in schemas.SCHEMAS:
            return schemas.schema_file(resource)
        case _:
            raise absent(resource)

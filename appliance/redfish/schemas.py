"""Which schema of DSP8010 each resource follows, and the documents that say so. Pure."""

from xml.sax.saxutils import quoteattr

from appliance.redfish.document import Json, JsonObject
from appliance.redfish.messages import REGISTRY, REGISTRY_VERSION
from appliance.redfish.router import Kind, Resource

_SCHEMA_FILES = "http://redfish.dmtf.org/schemas"

# Name of the schema -> version that our documents follow.
VERSIONS = {
    "AccountService": "v1_13_0",
    "AggregationService": "v1_0_2",
    "AggregationSource": "v1_4_1",
    "Chassis": "v1_22_0",
    "ComputerSystem": "v1_20_0",
    "Drive": "v1_17_0",
    "EnvironmentMetrics": "v1_3_1",
    "EthernetInterface": "v1_9_0",
    "EventDestination": "v1_14_0",
    "EventService": "v1_10_0",
    "Fan": "v1_5_0",
    "JsonSchemaFile": "v1_1_4",
    "LogEntry": "v1_15_0",
    "LogService": "v1_4_0",
    "Manager": "v1_18_0",
    "ManagerAccount": "v1_10_0",
    "ManagerNetworkProtocol": "v1_10_0",
    "Memory": "v1_18_0",
    "MessageRegistryFile": "v1_1_3",
    "Power": "v1_7_1",
    "PowerSubsystem": "v1_1_1",
    "Processor": "v1_18_0",
    "Role": "v1_3_1",
    "Sensor": "v1_7_0",
    "ServiceRoot": "v1_17_0",
    "Session": "v1_6_0",
    "SessionService": "v1_1_8",
    "SoftwareInventory": "v1_9_0",
    "Storage": "v1_15_0",
    "Task": "v1_7_2",
    "TaskService": "v1_2_0",
    "Thermal": "v1_7_1",
    "ThermalMetrics": "v1_3_0",
    "ThermalSubsystem": "v1_3_0",
    "UpdateService": "v1_12_0",
    "VirtualMedia": "v1_6_0",
}
_COLLECTIONS = (
    "AggregationSourceCollection",
    "ChassisCollection",
    "ComputerSystemCollection",
    "EthernetInterfaceCollection",
    "EventDestinationCollection",
    "FanCollection",
    "JsonSchemaFileCollection",
    "LogEntryCollection",
    "LogServiceCollection",
    "ManagerAccountCollection",
    "ManagerCollection",
    "MemoryCollection",
    "MessageRegistryFileCollection",
    "ProcessorCollection",
    "RoleCollection",
    "SensorCollection",
    "SessionCollection",
    "SoftwareInventoryCollection",
    "StorageCollection",
    "TaskCollection",
    "VirtualMediaCollection",
)
SCHEMAS = tuple(sorted((*VERSIONS, *_COLLECTIONS)))
REGISTRIES = (REGISTRY,)
_EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM = "http://docs.oasis-open.org/odata/ns/edm"


def type_of(schema: str) -> str:
    version = VERSIONS.get(schema)
    return f"#{schema}.{version}.{schema}" if version else f"#{schema}.{schema}"


def link(resource: Resource) -> JsonObject:
    return {"@odata.id": resource.uri}


def head(resource: Resource, schema: str, name: str) -> JsonObject:
    """What every resource has; the Id is the last segment of its URI."""
    last = resource.uri.rstrip("/").rpartition("/")[2]
    return {"@odata.id": resource.uri, "@odata.type": type_of(schema), "Id": last, "Name": name}


def collection(resource: Resource, schema: str, name: str, members: tuple[Resource, ...]) -> JsonObject:
    return {
        "@odata.id": resource.uri,
        "@odata.type": type_of(schema),
        "Name": name,
        "Members@odata.count": len(members),
        "Members": tuple(map(link, members)),
    }


def schema_file(resource: Resource) -> JsonObject:
    versioned = type_of(resource.item).removeprefix("#").rpartition(".")[0]
    location = {"Language": "en", "PublicationUri": f"{_SCHEMA_FILES}/v1/{versioned}.json"}
    return {
        **head(resource, "JsonSchemaFile", f"{resource.item} schema file"),
        "Schema": type_of(resource.item),
        "Languages": ("en",),
        "Location": (location,),
    }


def registry_file(resource: Resource) -> JsonObject:
    location = {
        "Language": "en",
        "PublicationUri": f"http://redfish.dmtf.org/registries/{resource.item}.{REGISTRY_VERSION}.json",
    }
    return {
        **head(resource, "MessageRegistryFile", f"{resource.item} message registry file"),
        "Registry": f"{resource.item}.{REGISTRY_VERSION.rpartition('.')[0]}",
        "Languages": ("en",),
        "Location": (location,),
    }


def odata_document(entries: tuple[tuple[str, Resource], ...]) -> JsonObject:
    """OData service document (DSP0266 section 8.4)."""
    values: tuple[Json, ...] = tuple(
        {"name": name, "kind": "Singleton", "url": resource.uri} for name, resource in entries
    )
    return {"@odata.context": Kind.METADATA.value, "value": values}


def metadata_document() -> bytes:
    """OData metadata (DSP0266 section 8.3): references to the published schemas, and the container of the root."""
    references = "".join(_reference(schema) for schema in SCHEMAS)
    root = f"ServiceRoot.{VERSIONS['ServiceRoot']}"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<edmx:Edmx xmlns:edmx="{_EDMX}" Version="4.0">{references}'
        f'<edmx:DataServices><Schema xmlns="{_EDM}" Namespace="Service">'
        f'<EntityContainer Name="Service" Extends="{root}.ServiceContainer"/>'
        "</Schema></edmx:DataServices></edmx:Edmx>\n"
    ).encode()


def _reference(schema: str) -> str:
    version = VERSIONS.get(schema)
    names = (schema, f"{schema}.{version}") if version else (schema,)
    includes = "".join(f"<edmx:Include Namespace={quoteattr(name)}/>" for name in names)
    uri = quoteattr(f"{_SCHEMA_FILES}/v1/{schema}_v1.xml")
    return f"<edmx:Reference Uri={uri}>{includes}</edmx:Reference>"

"""Messages of the Base registry (DSP2065) and the error object that carries them (DSP0266 section 8.6). Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from appliance.redfish.document import JsonObject

REGISTRY = "Base"
REGISTRY_VERSION = "1.18.0"
_PREFIX = "Base.1.18."
_MESSAGE_TYPE = "#Message.v1_1_1.Message"
_MAX_ARGUMENT = 200


class Severity(Enum):
    OK = "OK"
    WARNING = "Warning"
    CRITICAL = "Critical"


class MessageId(Enum):
    """Key in the registry, severity, text with %1, %2, ..., resolution."""

    SUCCESS = ("Success", Severity.OK, "The request completed successfully.", "None.")
    GENERAL_ERROR = (
        "GeneralError",
        Severity.CRITICAL,
        "A general error has occurred. See Resolution for information on how to resolve the error.",
        "See the log of the service.",
    )
    MALFORMED_JSON = (
        "MalformedJSON",
        Severity.CRITICAL,
        "The request body submitted was malformed JSON and could not be parsed by the receiving service.",
        "Ensure that the request body is valid JSON and resubmit the request.",
    )
    EMPTY_JSON = (
        "EmptyJSON",
        Severity.WARNING,
        "The request body submitted contained an empty JSON object and the service is unable to process it.",
        "Add properties in the JSON object and resubmit the request.",
    )
    NO_OPERATION = (
        "NoOperation",
        Severity.WARNING,
        "The request body submitted contain no data to act upon and no changes to the resource took place.",
        "Add properties in the JSON object and resubmit the request.",
    )
    NO_CONNECTION = (
        "CouldNotEstablishConnection",
        Severity.CRITICAL,
        "The service failed to establish a connection with the URI '%1'.",
        "Ensure that the URI contains a valid and reachable node name, protocol information and other URI components.",
    )
    PROPERTY_UNKNOWN = (
        "PropertyUnknown",
        Severity.WARNING,
        "The property %1 is not in the list of valid properties for the resource.",
        "Remove the unknown property from the request body and resubmit the request if the operation failed.",
    )
    PROPERTY_TYPE = (
        "PropertyValueTypeError",
        Severity.WARNING,
        "The value '%1' for the property %2 is not a type that the property can accept.",
        "Correct the value for the property in the request body and resubmit the request if the operation failed.",
    )
    PROPERTY_NOT_IN_LIST = (
        "PropertyValueNotInList",
        Severity.WARNING,
        "The value '%1' for the property %2 is not in the list of acceptable values.",
        "Choose a value from the enumeration list that the implementation can support and resubmit the request if the "
        "operation failed.",
    )
    PROPERTY_FORMAT = (
        "PropertyValueFormatError",
        Severity.WARNING,
        "The value '%1' for the property %2 is not a format that the property can accept.",
        "Correct the value for the property in the request body and resubmit the request if the operation failed.",
    )
    PROPERTY_NOT_WRITABLE = (
        "PropertyNotWritable",
        Severity.WARNING,
        "The property %1 is a read-only property and cannot be assigned a value.",
        "Remove the property from the request body and resubmit the request if the operation failed.",
    )
    PROPERTY_MISSING = (
        "PropertyMissing",
        Severity.WARNING,
        "The property %1 is a required property and must be included in the request.",
        "Ensure that the property is in the request body and has a valid value and resubmit the request if the "
        "operation failed.",
    )
    ACTION_NOT_SUPPORTED = (
        "ActionNotSupported",
        Severity.CRITICAL,
        "The action %1 is not supported by the resource.",
        "The action supplied cannot be resubmitted to the implementation.",
    )
    ACTION_PARAMETER_MISSING = (
        "ActionParameterMissing",
        Severity.CRITICAL,
        "The action %1 requires the parameter %2 to be present in the request body.",
        "Supply the action with the required parameter in the request body when the request is resubmitted.",
    )
    ACTION_PARAMETER_UNKNOWN = (
        "ActionParameterUnknown",
        Severity.WARNING,
        "The action %1 was submitted with the invalid parameter %2.",
        "Correct the invalid parameter and resubmit the request if the operation failed.",
    )
    ACTION_PARAMETER_TYPE = (
        "ActionParameterValueTypeError",
        Severity.WARNING,
        "The value '%1' for the parameter %2 in the action %3 is not a type that the parameter can accept.",
        "Correct the value for the parameter in the request body and resubmit the request if the operation failed.",
    )
    ACTION_PARAMETER_NOT_IN_LIST = (
        "ActionParameterValueNotInList",
        Severity.WARNING,
        "The value '%1' for the parameter %2 in the action %3 is not in the list of acceptable values.",
        "Choose a value from the enumeration list that the implementation can support and resubmit the request if the "
        "operation failed.",
    )
    ACTION_PARAMETER_FORMAT = (
        "ActionParameterValueFormatError",
        Severity.WARNING,
        "The value '%1' for the parameter %2 in the action %3 is not a format that the parameter can accept.",
        "Correct the value for the parameter in the request body and resubmit the request if the operation failed.",
    )
    RESOURCE_MISSING = (
        "ResourceMissingAtURI",
        Severity.CRITICAL,
        "The resource at the URI '%1' was not found.",
        "Place a valid resource at the URI or correct the URI and resubmit the request.",
    )
    OPERATION_NOT_ALLOWED = (
        "OperationNotAllowed",
        Severity.CRITICAL,
        "The HTTP method is not allowed on this resource.",
        "None.",
    )
    RESOURCE_IN_USE = (
        "ResourceInUse",
        Severity.WARNING,
        "The change to the requested resource failed because the resource is in use or in transition.",
        "Remove the condition and resubmit the request if the operation failed.",
    )
    RESOURCE_IN_STANDBY = (
        "ResourceInStandby",
        Severity.CRITICAL,
        "The request could not be performed because the resource is in standby.",
        "Ensure that the resource is in the correct power state and resubmit the request.",
    )
    OPERATION_FAILED = (
        "OperationFailed",
        Severity.WARNING,
        "An error occurred internal to the service as part of the overall request.",
        "Resubmit the request.  If the problem persists, consider resetting the service or provider.",
    )
    INTERNAL_ERROR = (
        "InternalError",
        Severity.CRITICAL,
        "The request failed due to an internal service error.  The service is still operational.",
        "Resubmit the request.  If the problem persists, consider resetting the service.",
    )
    HEADER_INVALID = (
        "HeaderInvalid",
        Severity.CRITICAL,
        "Header '%1' is invalid.",
        "Resubmit the request with a valid request header.",
    )
    PRECONDITION_FAILED = (
        "PreconditionFailed",
        Severity.CRITICAL,
        "The ETag supplied did not match the ETag required to change this resource.",
        "Try the operation again using the appropriate ETag.",
    )
    NO_VALID_SESSION = (
        "NoValidSession",
        Severity.CRITICAL,
        "There is no valid session established with the implementation.",
        "Establish a session before attempting any operations.",
    )
    UNAUTHORIZED = (
        "ResourceAtUriUnauthorized",
        Severity.CRITICAL,
        "While accessing the resource at '%1', the service received an authorization error '%2'.",
        "Ensure that the appropriate access is provided for the service in order for it to access the URI.",
    )
    ACCESS_DENIED = (
        "AccessDenied",
        Severity.CRITICAL,
        "While attempting to establish a connection to '%1', the service was denied access.",
        "Attempt to ensure that the URI is correct and that the service has the appropriate credentials.",
    )
    INSUFFICIENT_PRIVILEGE = (
        "InsufficientPrivilege",
        Severity.CRITICAL,
        "There are insufficient privileges for the account or credentials associated with the current session to "
        "perform the requested operation.",
        "Either abandon the operation or change the associated access rights and resubmit the request if the operation "
        "failed.",
    )
    SESSION_LIMIT = (
        "SessionLimitExceeded",
        Severity.CRITICAL,
        "The session establishment failed due to the number of simultaneous sessions exceeding the limit of the "
        "implementation.",
        "Reduce the number of other sessions before trying to establish the session or increase the limit of "
        "simultaneous sessions, if supported.",
    )
    CREATE_LIMIT = (
        "CreateLimitReachedForResource",
        Severity.CRITICAL,
        "The create operation failed because the resource has reached the limit of possible resources.",
        "Either delete resources and resubmit the request if the operation failed or do not resubmit the request.",
    )
    ALREADY_EXISTS = (
        "ResourceAlreadyExists",
        Severity.CRITICAL,
        "The requested resource of type %1 with the property %2 with the value '%3' already exists.",
        "Do not repeat the create operation as the resource has already been created.",
    )
    UNAVAILABLE = (
        "ServiceTemporarilyUnavailable",
        Severity.CRITICAL,
        "The service is temporarily unavailable.  Retry in %1 seconds.",
        "Wait for the indicated retry duration and retry the operation.",
    )
    QUERY_NOT_SUPPORTED = (
        "QueryParameterUnsupported",
        Severity.WARNING,
        "Query parameter '%1' is not supported.",
        "Correct or remove the query parameter and resubmit the request.",
    )
    QUERY_NOT_ON_RESOURCE = (
        "QueryNotSupportedOnResource",
        Severity.WARNING,
        "Querying is not supported on the requested resource.",
        "Remove the query parameters and resubmit the request if the operation failed.",
    )
    QUERY_NOT_ON_OPERATION = (
        "QueryNotSupportedOnOperation",
        Severity.WARNING,
        "Querying is not supported with the requested operation.",
        "Remove the query parameters and resubmit the request if the operation failed.",
    )
    QUERY_COMBINATION = (
        "QueryCombinationInvalid",
        Severity.WARNING,
        "Two or more query parameters in the request cannot be used together.",
        "Remove one or more of the query parameters and resubmit the request if the operation failed.",
    )
    QUERY_FORMAT = (
        "QueryParameterValueFormatError",
        Severity.WARNING,
        "The value '%1' for the parameter %2 is not a format that the parameter can accept.",
        "Correct the value for the query parameter in the request and resubmit the request if the operation failed.",
    )
    QUERY_RANGE = (
        "QueryParameterOutOfRange",
        Severity.WARNING,
        "The value '%1' for the query parameter %2 is out of range %3.",
        "Reduce the value for the query parameter to a value that is within range, such as a start or count value that "
        "is within bounds of the number of resources in a collection or a page that is within the range of valid "
        "pages.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """`related` are JSON pointers to the properties it is about, such as "#/Boot/BootSourceOverrideTarget"; `detail` is
    what the registry's sentence leaves out: why."""

    id: MessageId
    arguments: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    detail: str = ""

    @property
    def text(self) -> str:
        text: str = self.id.value[2]
        for number, argument in enumerate(self.arguments, start=1):
            text = text.replace(f"%{number}", argument, 1)
        return f"{text} {self.detail}" if self.detail else text


def say(key: MessageId, *arguments: str, about: str = "") -> Message:
    bounded = tuple(argument[:_MAX_ARGUMENT] for argument in arguments)
    return Message(id=key, arguments=bounded, related=("#/" + about,) if about else ())


def extended_info(message: Message) -> JsonObject:
    key, severity, _, resolution = message.id.value
    return {
        "@odata.type": _MESSAGE_TYPE,
        "MessageId": _PREFIX + key,
        "Message": message.text,
        "MessageArgs": message.arguments,
        "MessageSeverity": severity.value,
        "Severity": severity.value,
        "Resolution": resolution,
        **({"RelatedProperties": message.related} if message.related else {}),
    }


def error_object(messages: Sequence[Message]) -> JsonObject:
    """`messages` has one at least; the first is the summary."""
    return {
        "error": {
            "code": _PREFIX + messages[0].id.value[0],
            "message": messages[0].text,
            "@Message.ExtendedInfo": tuple(map(extended_info, messages)),
        }
    }

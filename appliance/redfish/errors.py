"""Errors of the Redfish service.

InnervateError
+-- ServiceError
    |-- AbsentResourceError  the backend looked, and there is none
    |-- RefusedActionError   the backend will not do that, now or ever
    |-- UnavailableError     the backend cannot say: ask again after a while
    +-- RequestError         the request is answered with these messages
"""

from dataclasses import dataclass

from appliance.errors import InnervateError
from appliance.redfish.messages import Message, MessageId, say

_IN_USE = say(MessageId.RESOURCE_IN_USE)


class ServiceError(InnervateError):
    """Told to the service's clients in Redfish's own words, never by the control API."""


class AbsentResourceError(ServiceError):
    pass


class RefusedActionError(ServiceError):
    """`reason` is what the client is told."""

    def __init__(self, message: str, *, reason: Message = _IN_USE, evidence: str = "", next_action: str = "") -> None:
        super().__init__(message, evidence=evidence, next_action=next_action)
        self.reason = reason


class UnavailableError(ServiceError):
    """`retry_after` in seconds."""

    def __init__(self, message: str, *, retry_after: int, evidence: str = "") -> None:
        super().__init__(message, evidence=evidence, next_action=f"ask again after {retry_after} s")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error response to be: at least one message, and headers that go with the status."""

    status: int
    messages: tuple[Message, ...]
    headers: tuple[tuple[str, str], ...] = ()


class RequestError(ServiceError):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"HTTP {refusal.status}: {refusal.messages[0].text}", next_action="correct the request")
        self.refusal = refusal


def refuse(status: int, *messages: Message, headers: tuple[tuple[str, str], ...] = ()) -> RequestError:
    return RequestError(Refusal(status=status, messages=messages, headers=headers))

"""What goes wrong with a Redfish service -> `BmcError`. Pure."""

import aiohttp
from redfish.aio import (
    RedfishAuthenticationError,
    RedfishConnectionError,
    RedfishHTTPError,
    RedfishInvalidTargetError,
    RedfishPasswordChangeRequiredError,
    RedfishTimeoutError,
)

from appliance.bmc import redfish_codec as codec
from appliance.bmc.codec.text import clean
from appliance.bmc.connection import UnansweredError
from appliance.bmc.pinned import AnswerTooLargeError
from appliance.errors import BmcError, BmcLoginError, BmcPasswordChangeError, BmcSessionsFullError, BmcSilentError
from appliance.model.bmc import BmcEndpoint

_LOOK_THERE = "check the BMC's address, cable and power"
# Dell's RAC0218 beside the registry's own.
_FULL = ("SessionLimitExceeded", "RAC0218")


class RefusalError(BmcError):
    """`status` is HTTP's."""

    action = "see what the BMC says"

    def __init__(self, message: str, *, status: int, evidence: str) -> None:
        super().__init__(message, evidence=evidence, next_action=self.action)
        self.status = status


class ResetDueError(RefusalError):
    """It changes nothing before it was reset: DSP0268, ResetRequired."""

    action = "reset the BMC"


class PasswordDueError(BmcPasswordChangeError):
    """`path` is that of the account, "" where the BMC does not say."""

    def __init__(self, where: str, *, path: str, evidence: str) -> None:
        action = "change it through the appliance, or on the BMC"
        super().__init__(f"{where} wants a new password", evidence=evidence, next_action=action)
        self.path = path


def refused(request: str, status: int, body: bytes) -> BmcError:
    ids, said = codec.message_ids(body), codec.refusal(status, body)
    if "PasswordChangeRequired" in ids:
        return PasswordDueError("the BMC", path=codec.password_path(body), evidence=said)
    if any(full in ids for full in _FULL):
        return _sessions_full("the BMC", said)
    kind = ResetDueError if "ResetRequired" in ids else RefusalError
    return kind(f"the BMC refused {request}", status=status, evidence=said)


def unusable(endpoint: BmcEndpoint, why: str) -> BmcError:
    return BmcError(f"cannot use {endpoint.url}", evidence=why, next_action="correct the BMC's endpoint")


def busy(endpoint: BmcEndpoint, seconds: float) -> BmcError:
    seen = f"its turn did not come within {seconds:g} s"
    return BmcError(f"{endpoint.url} is busy with earlier operations", evidence=seen, next_action="try again later")


def tired(endpoint: BmcEndpoint, seconds: float) -> BmcError:
    seen = f"it needs {seconds:.1f} s before the next request, which was not sent"
    return BmcError(f"{endpoint.url} has to rest", evidence=seen, next_action="try again later")


def bmc_error(error: Exception, endpoint: BmcEndpoint) -> BmcError:
    where, cause = endpoint.url, error.__cause__
    seen = _words(cause) or _words(error)
    match error:
        case RedfishPasswordChangeRequiredError():
            return PasswordDueError(where, path="", evidence=seen)
        case RedfishAuthenticationError():
            action = "check user and password; repeated failures lock accounts"
            return BmcLoginError(f"{where} refuses user {endpoint.user!r}", evidence=seen, next_action=action)
        case RedfishInvalidTargetError():
            action = "distrust this BMC until someone looked at it"
            return BmcError(f"{where} points to another host", evidence=seen, next_action=action)
        case RedfishHTTPError():
            return _no_session(where, error.response.status, error.response.read)
        case RedfishTimeoutError() | TimeoutError():
            late = seen or "the operation took longer than it may"
            action = f"{_LOOK_THERE}; if it answers ping, reset it"
            return BmcSilentError(f"{where} does not answer in time", evidence=late, next_action=action)
        case RedfishConnectionError():
            return _connection_error(cause, where, seen)
        case _:
            return BmcError(f"{where} does not speak Redfish", evidence=seen, next_action="check the address")


def _words(error: BaseException | None) -> str:
    """Those of some errors are none."""
    return clean(str(error), codec.EVIDENCE) if error is not None else ""


def _no_session(where: str, status: int, body: bytes) -> BmcError:
    said = codec.refusal(status, body)
    if any(full in codec.message_ids(body) for full in _FULL):
        return _sessions_full(where, said)
    return BmcError(f"{where} refused the log-in", evidence=said, next_action="see what the BMC says")


def _sessions_full(where: str, said: str) -> BmcSessionsFullError:
    action = "end sessions on the BMC, or wait until they expire (some 30 minutes), or reset the BMC"
    return BmcSessionsFullError(f"{where} has no session left: others hold them all", evidence=said, next_action=action)


def _connection_error(cause: BaseException | None, where: str, seen: str) -> BmcError:
    match cause:
        case aiohttp.ServerFingerprintMismatch():
            got = f"SHA-256 {cause.got.hex()}, pinned {cause.expected.hex()}"
            action = "find out why before you pin the new one: nothing was sent to it"
            return BmcError(f"the certificate of {where} has changed", evidence=got, next_action=action)
        case UnansweredError():
            action = "see whether it was done before it is asked again"
            return BmcSilentError(f"{where} hung up without an answer", evidence=seen, next_action=action)
        case AnswerTooLargeError():
            return BmcError(f"{where} answers without end", evidence=seen, next_action="check the address")
        case _:
            return BmcError(f"{where} cannot be reached", evidence=seen, next_action=_LOOK_THERE)

"""How a console and a BMC prove to each other that they know the password (IPMI 2.0 sections 13.17 to 13.32). Pure.

Cipher suites 17 and 3 only: 0 asks for no password, 1 and 2 do not encrypt, the others are MD5.
"""

import hashlib
import hmac
from dataclasses import dataclass

from appliance.errors import BmcError, BmcLoginError, BmcSessionsFullError

MAX_USER_BYTES = 16
MAX_PASSWORD_BYTES = 20
ADMINISTRATOR = 4

_NAME_ONLY = 0x10
_AES_CBC_128 = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Table 22-20. `code_bytes` is the length of the authentication code of a packet and of RAKP 4."""

    number: int
    authentication: int
    integrity: int
    digest: str
    code_bytes: int


SUITE_17 = Suite(number=17, authentication=3, integrity=4, digest="sha256", code_bytes=16)
SUITE_3 = Suite(number=3, authentication=1, integrity=1, digest="sha1", code_bytes=12)
SUITES = (SUITE_17, SUITE_3)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Credentials:
    """Raises `BmcError` for what IPMI cannot carry."""

    user: bytes
    password: bytes

    def __post_init__(self) -> None:
        _check_size("user", self.user, MAX_USER_BYTES)
        _check_size("password", self.password, MAX_PASSWORD_BYTES)


def _check_size(name: str, value: bytes, limit: int) -> None:
    if len(value) > limit:
        action = f"give the BMC a shorter {name}"
        raise BmcError(f"IPMI takes a {name} of {limit} bytes", evidence=f"{len(value)} bytes", next_action=action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Half:
    """What one side brings: its session id and its random number (16 bytes)."""

    session: int
    nonce: bytes


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Keys:
    """Session integrity key and what is derived from it (section 13.32)."""

    suite: Suite
    sik: bytes
    k1: bytes
    aes: bytes


class NoSuiteError(BmcError):
    """The BMC does not speak the suite that was asked for; another may do."""


def open_request(suite: Suite, console: int) -> bytes:
    """Table 13-9; asks for the highest privilege that the channel allows."""
    algorithms = ((0, suite.authentication), (1, suite.integrity), (2, _AES_CBC_128))
    offers = b"".join(bytes((kind, 0, 0, 8, number, 0, 0, 0)) for kind, number in algorithms)
    return bytes(4) + console.to_bytes(4, "little") + offers


def opened(body: bytes, suite: Suite, console: int) -> int:
    """The BMC's session id (table 13-10). A BMC that answers with weaker algorithms than asked for is refused."""
    _check_status(body)
    if len(body) < 36 or body[4:8] != console.to_bytes(4, "little"):
        raise _broken("open session response")
    if (body[16], body[24], body[32]) != (suite.authentication, suite.integrity, _AES_CBC_128):
        raise NoSuiteError(f"the BMC does not take cipher suite {suite.number}", next_action="enable suite 17 or 3")
    return int.from_bytes(body[8:12], "little")


def rakp1(credentials: Credentials, bmc: int, nonce: bytes) -> bytes:
    """Table 13-11."""
    return bytes(4) + bmc.to_bytes(4, "little") + nonce + bytes((_role(), 0, 0)) + _name(credentials)


def rakp2(body: bytes, suite: Suite, credentials: Credentials, console: Half, bmc: int) -> tuple[Half, bytes]:
    """The BMC's half and its GUID (table 13-12). Raises `BmcLoginError` unless it knows the password."""
    _check_status(body)
    size = hashlib.new(suite.digest, usedforsecurity=False).digest_size
    if len(body) != 40 + size:
        raise _broken("RAKP 2")
    half, guid = Half(session=bmc, nonce=body[8:24]), body[24:40]
    ids = _le(console.session) + _le(bmc)
    said = ids + console.nonce + half.nonce + guid + bytes((_role(),)) + _name(credentials)
    if not hmac.compare_digest(hmac.digest(credentials.password, said, suite.digest), body[40:]):
        action = "check user and password; repeated failures lock accounts"
        raise BmcLoginError("the BMC and we do not share this password", evidence="RAKP 2", next_action=action)
    return half, guid


def rakp3(suite: Suite, credentials: Credentials, console: Half, bmc: Half) -> bytes:
    """Table 13-13."""
    said = bmc.nonce + _le(console.session) + bytes((_role(),)) + _name(credentials)
    return bytes(4) + _le(bmc.session) + hmac.digest(credentials.password, said, suite.digest)


def derive(suite: Suite, credentials: Credentials, console: Half, bmc: Half) -> Keys:
    # A BMC key (Kg) of its own is not supported: without one the user's key takes its place (section 13.32).
    said = console.nonce + bmc.nonce + bytes((_role(),)) + _name(credentials)
    sik = hmac.digest(credentials.password, said, suite.digest)
    k2 = hmac.digest(sik, b"\x02" * 20, suite.digest)
    return Keys(suite=suite, sik=sik, k1=hmac.digest(sik, b"\x01" * 20, suite.digest), aes=k2[:16])


def check_rakp4(body: bytes, keys: Keys, console: Half, bmc: Half, guid: bytes) -> None:
    """Table 13-14. Raises `BmcLoginError` for a BMC that derived another key: wrong password, or a Kg that we lack."""
    _check_status(body)
    expected = hmac.digest(keys.sik, console.nonce + _le(bmc.session) + guid, keys.suite.digest)
    if not hmac.compare_digest(expected[: keys.suite.code_bytes], body[8:]):
        action = "clear the BMC key (Kg), or correct the password"
        raise BmcLoginError("the BMC derived another session key", evidence="RAKP 4", next_action=action)


def _role() -> int:
    return ADMINISTRATOR | _NAME_ONLY


def _name(credentials: Credentials) -> bytes:
    return bytes((len(credentials.user),)) + credentials.user


def _le(number: int) -> bytes:
    return number.to_bytes(4, "little")


_NO_SESSION_LEFT = (0x01, 0x0B)
_NO_SUITE = (0x04, 0x05, 0x10, 0x11)
_NOT_YOU = {
    0x09: "invalid role",
    0x0A: "the user may not be administrator",
    0x0C: "invalid name length",
    0x0D: "unknown user",
    0x0E: "unknown GUID",
    0x0F: "wrong password",
}


def _check_status(body: bytes) -> None:
    """Table 13-15, RMCP+ and RAKP message status codes."""
    if len(body) < 2 or (body[1] == 0 and len(body) < 8):
        raise _broken("RMCP+ message")
    if (status := body[1]) == 0:
        return
    seen = f"RMCP+ status 0x{status:02x}"
    if status in _NO_SESSION_LEFT:
        action = "close sessions of other programs, wait for their time-out, or reset the BMC"
        raise BmcSessionsFullError("the BMC has no session left", evidence=seen, next_action=action)
    if status in _NO_SUITE:
        raise NoSuiteError("the BMC does not take this cipher suite", evidence=seen, next_action="enable suite 17 or 3")
    if status in _NOT_YOU:
        action = (
            "check user and password, and give the user the privilege Administrator; repeated failures lock accounts"
        )
        raise BmcLoginError(f"the BMC refuses the user: {_NOT_YOU[status]}", evidence=seen, next_action=action)
    raise BmcError("the BMC refused the session", evidence=seen, next_action="reset the BMC")


def _broken(what: str) -> BmcError:
    return BmcError(f"the BMC sent a broken {what}", next_action="update the BMC's firmware, or use Redfish")

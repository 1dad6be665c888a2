"""The two ceremonies of WebAuthn (Web Authentication Level 3, sections 7.1 and 7.2), judged by python-fido2.

What a browser says is JSON text in the form of `PublicKeyCredential.toJSON()`; what it is asked is JSON text, too, for
`PublicKeyCredential.parseCreationOptionsFromJSON()`. Nothing here knows an account.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TypeVar
from urllib.parse import urlsplit

from fido2.server import Fido2Server
from fido2.utils import websafe_encode
from fido2.webauthn import (
    AttestationConveyancePreference,
    AttestedCredentialData,
    AuthenticationResponse,
    CollectedClientData,
    PublicKeyCredentialDescriptor,
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from appliance.errors import LoginError, UsageError

T = TypeVar("T")

CHALLENGE_BYTES, HANDLE_BYTES = 32, 32
CHALLENGE_SECONDS = 120.0
ANSWER_LIMIT = 16384
_ID_LIMIT = 1023
"""Bytes of a credential's id (CTAP 2.1, section 6.4)."""
_ALGORITHMS = (-7, -8, -257)
"""ES256, EdDSA and RS256 (RFC 8152, RFC 8812): what every authenticator has one of."""
_REQUIRED = UserVerificationRequirement.REQUIRED


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """The relying party: `id` is the host of `origin`, such as `rack.example` of `https://rack.example:8443`."""

    id: str
    origin: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """`credential` is the attested credential data (section 6.5.1): AAGUID, id, public key. `count` its signatures."""

    credential: bytes
    id: bytes
    count: int


def unfit(host: str) -> str:
    """Why no passkey can be made for this host, or "": an address is no domain (section 5.1.3, step 8)."""
    try:
        ip_address(host)
    except ValueError:
        return "" if host else "this request names no host"
    return f"passkeys need a name, and {host} is an address"


def party_of(origin: str, name: str) -> Party:
    """Raises `UsageError` where the origin has no domain."""
    host = urlsplit(origin).hostname or ""
    if why := unfit(host):
        raise UsageError(why, next_action="open the appliance by one of the names in https_hosts")
    return Party(id=host, origin=origin, name=name)


def creation_options(party: Party, challenge: bytes, handle: bytes, user: str, known: Sequence[bytes]) -> str:
    """`known` are the ids of the account's credentials: no authenticator makes a second one."""
    descriptors = [PublicKeyCredentialDescriptor(type=PublicKeyCredentialType.PUBLIC_KEY, id=one) for one in known]
    options, _ = _server(party).register_begin(
        PublicKeyCredentialUserEntity(id=handle, name=user, display_name=user),
        descriptors,
        resident_key_requirement=ResidentKeyRequirement.REQUIRED,
        user_verification=_REQUIRED,
        challenge=challenge,
    )
    return json.dumps(dict(options.public_key))


def request_options(party: Party, challenge: bytes) -> str:
    """Of whichever account: the authenticator shows those that it knows."""
    options, _ = _server(party).authenticate_begin(None, user_verification=_REQUIRED, challenge=challenge)
    return json.dumps(dict(options.public_key))


def made(party: Party, challenge: bytes, answer: str) -> Made:
    """Raises `UsageError` for what no authenticator made for this challenge, here and with its user verified."""

    def judged() -> Made:
        response = RegistrationResponse.from_dict(_parsed(answer))
        _refuse_framed(response.response.client_data)
        data = _server(party).register_complete(_state(challenge), response)
        credential = data.credential_data
        if credential is None or not 16 <= len(credential.credential_id) <= _ID_LIMIT:
            raise ValueError("it holds no credential of a fitting size")
        if credential.public_key.ALGORITHM not in _ALGORITHMS:
            raise ValueError("its key is of a kind that was not asked for")
        return Made(credential=bytes(credential), id=credential.credential_id, count=data.counter)

    try:
        return _total(judged)
    except ValueError as error:
        raise UsageError("this passkey cannot be taken", evidence=str(error)[:200], next_action="try again") from error


def id_of(answer: str) -> bytes:
    """Which credential somebody says to have; b"" where the answer is none."""
    try:
        return _total(lambda: AuthenticationResponse.from_dict(_parsed(answer)).raw_id)
    except ValueError:
        return b""


def proven(party: Party, challenge: bytes, credential: bytes, handle: bytes, answer: str) -> int:
    """The authenticator's count of signatures, where it signed this challenge here with its user verified. `handle` is
    that of the account which has the credential. Raises `LoginError`."""

    def judged() -> int:
        response = AuthenticationResponse.from_dict(_parsed(answer))
        _refuse_framed(response.response.client_data)
        if response.response.user_handle != handle:
            raise ValueError("the credential is another account's")
        _server(party).authenticate_complete(_state(challenge), [AttestedCredentialData(credential)], response)
        return response.response.authenticator_data.counter

    try:
        return _total(judged)
    except ValueError as error:
        raise wrong(str(error)) from error


def wrong(evidence: str) -> LoginError:
    return LoginError(
        "this passkey does not open the door", evidence=evidence[:200], next_action="try again, or use the password"
    )


def _server(party: Party) -> Fido2Server:
    """Takes this very origin, its port included; the library's own rule takes every port and subdomain."""
    server = Fido2Server(
        PublicKeyCredentialRpEntity(id=party.id, name=party.name),
        attestation=AttestationConveyancePreference.NONE,
        verify_origin=lambda origin: origin == party.origin,
    )
    server.timeout = int(CHALLENGE_SECONDS * 1000)  # type: ignore[assignment]  # the library says None, and means int
    server.allowed_algorithms = [
        PublicKeyCredentialParameters(type=PublicKeyCredentialType.PUBLIC_KEY, alg=alg) for alg in _ALGORITHMS
    ]
    return server


def _state(challenge: bytes) -> Mapping[str, object]:
    return {"challenge": websafe_encode(challenge), "user_verification": _REQUIRED}


def _refuse_framed(client: CollectedClientData) -> None:
    if client.cross_origin:
        raise ValueError("it was asked for inside another site's page")


def _parsed(answer: str) -> Mapping[str, object]:
    """`ValueError` where it is no JSON object."""
    found = json.loads(answer) if len(answer) <= ANSWER_LIMIT else None
    if not isinstance(found, dict):
        raise ValueError("it is no credential")
    return found


def _total(judge: Callable[[], T]) -> T:
    """The library raises whatever its parsers stumble over (KeyError, struct.error, RecursionError, ...): to us all of
    it is one thing, an answer that is none."""
    try:
        return judge()
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(f"it is malformed: {type(error).__name__}") from error

"""An authenticator in software: it makes passkeys and signs as WebAuthn says, and lies where a test tells it to."""

import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import sha256, websafe_decode, websafe_encode
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from appliance.system import SystemRng

FLAG = AuthenticatorData.FLAG
VERIFIED = FLAG.UP | FLAG.UV


@dataclass(kw_only=True)
class Authenticator:
    """Of one passkey. `origin` is what its browser says, `rp` what it signs for where that is another host; `count`
    goes up with each signature unless it is 0."""

    origin: str
    rp: str = ""
    count: int = 1
    flags: FLAG = VERIFIED
    cross_origin: bool = False
    handle: bytes = b""
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = field(default_factory=lambda: bytes.fromhex(SystemRng().token(32)))

    @property
    def _rp_hash(self) -> bytes:
        return sha256((self.rp or urlsplit(self.origin).hostname or "").encode())

    def make(self, options: str) -> str:
        """As a browser answers to creation options."""
        asked = json.loads(options)
        self.handle = websafe_decode(asked["user"]["id"])
        client = self._client("webauthn.create", asked["challenge"])
        public = ES256.from_cryptography_key(self.key.public_key())
        credential = AttestedCredentialData.create(bytes(16), self.id, public)
        data = AuthenticatorData.create(self._rp_hash, self.flags | FLAG.AT, self.count, credential)
        attested = AttestationObject.create("none", data, {})
        return self._answer(
            {"clientDataJSON": websafe_encode(client), "attestationObject": websafe_encode(bytes(attested))}
        )

    def sign(self, options: str) -> str:
        """As a browser answers to request options."""
        client = self._client("webauthn.get", json.loads(options)["challenge"])
        self.count += bool(self.count)
        data = AuthenticatorData.create(self._rp_hash, self.flags, self.count)
        signature = self.key.sign(bytes(data) + client.hash, ec.ECDSA(SHA256()))
        return self._answer(
            {
                "clientDataJSON": websafe_encode(client),
                "authenticatorData": websafe_encode(bytes(data)),
                "signature": websafe_encode(signature),
                "userHandle": websafe_encode(self.handle),
            }
        )

    def _client(self, kind: str, challenge: str) -> CollectedClientData:
        return CollectedClientData.create(kind, challenge, self.origin, self.cross_origin)

    def _answer(self, response: dict[str, str]) -> str:
        id_ = websafe_encode(self.id)
        return json.dumps(
            {"id": id_, "rawId": id_, "type": "public-key", "clientExtensionResults": {}, "response": response}
        )

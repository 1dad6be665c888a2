"""What agent and appliance say to each other of the machine's TPM, beside `protocol`: JSON, bytes as hex. Pure.

POST /agent/tpm        Shown  -> 200 Challenge; 202 not yet, ask again; 204 nothing more to be said
POST /agent/tpm/proof  Proof  -> 204
"""

import json
import re
from dataclasses import dataclass

from .errors import ProtocolError
from .fields import Fields, parse_json
from .tpm_structures import PCRS

SHOW, PROVE = "/agent/tpm", "/agent/tpm/proof"
LATER = 202
_MAX = 64 << 10
_MAX_KEY, _MAX_CERTIFICATE, _MAX_QUOTE, _MAX_CREDENTIAL, _PCR = 512, 4096, 1024, 512, 32
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """TPMT_PUBLIC of endorsement and attestation key; `certificate` (DER) may be empty.

    `lacks`: why there is no TPM to be shown, or none that works; then all else is empty.
    """

    ek: bytes = b""
    ak: bytes = b""
    certificate: bytes = b""
    lacks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What is given to TPM2_ActivateCredential."""

    blob: bytes
    seed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """`opened` is `Bond.opened`; `quote`, its signature and `pcrs` are empty where the TPM has no PCRs of SHA-256."""

    opened: str
    quote: bytes = b""
    signature: bytes = b""
    pcrs: tuple[bytes, ...] = ()


def encode(message: Shown | Challenge | Proof) -> bytes:
    fields = {name: _plain(getattr(message, name)) for name in message.__dataclass_fields__}
    return json.dumps(fields, separators=(",", ":")).encode()


def parse_shown(data: bytes) -> Shown:
    """Raises ProtocolError, as all parsers here do."""
    fields = Fields(parse_json(data, limit=_MAX, depth=4), "tpm").only("ek", "ak", "certificate", "lacks")
    return Shown(
        ek=_hex(fields, "ek", _MAX_KEY),
        ak=_hex(fields, "ak", _MAX_KEY),
        certificate=_hex(fields, "certificate", _MAX_CERTIFICATE),
        lacks=fields.text("lacks"),
    )


def parse_challenge(data: bytes) -> Challenge:
    fields = Fields(parse_json(data, limit=_MAX, depth=4), "challenge").only("blob", "seed")
    return Challenge(blob=_hex(fields, "blob", _MAX_CREDENTIAL), seed=_hex(fields, "seed", _MAX_CREDENTIAL))


def parse_proof(data: bytes) -> Proof:
    fields = Fields(parse_json(data, limit=_MAX, depth=4), "proof").only("opened", "quote", "signature", "pcrs")
    values = fields.texts("pcrs", limit=2 * _PCR, count=len(PCRS))
    pcrs = tuple(_bytes(value, "proof.pcrs", _PCR) for value in values)
    if pcrs and [len(value) for value in pcrs] != [_PCR] * len(PCRS):
        raise ProtocolError("proof.pcrs are not PCRs 0 to 7 of the SHA-256 bank", evidence=f"{len(pcrs)} values")
    return Proof(
        opened=fields.sha256("opened"),
        quote=_hex(fields, "quote", _MAX_QUOTE),
        signature=_hex(fields, "signature", _MAX_QUOTE),
        pcrs=pcrs,
    )


def _plain(value: object) -> object:
    match value:
        case bytes():
            return value.hex()
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _hex(fields: Fields, name: str, limit: int) -> bytes:
    return _bytes(fields.text(name, limit=2 * limit), name, limit)


def _bytes(text: str, name: str, limit: int) -> bytes:
    if not _HEX.fullmatch(text):
        raise ProtocolError(f"{name} is not hex of at most {limit} bytes", evidence=repr(text)[:100])
    return bytes.fromhex(text)

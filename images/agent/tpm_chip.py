"""What is asked of the machine's TPM: who it is, to open what was sealed for it, and what the firmware measured."""

from collections.abc import Callable
from dataclasses import dataclass

from . import tpm_packet as packet
from .errors import TpmError
from .tpm_packet import Hierarchy, Primary, RefusalError
from .tpm_structures import Template

Transact = Callable[[bytes], bytes]
"""One command, and the whole answer. Raises TpmError."""

_TRIES, _PAUSE = 50, 0.2
_CHUNK = 512  # TPM_PT_NV_BUFFER_MAX is never less (TCG PC Client Platform TPM Profile, 4.4)
_MAX_CERTIFICATE = 4096
_NONCE = 16
# TCG EK Credential Profile, 2.2.1.4: where the makers put certificates.
_CERTIFICATES = {Template.EK_ECC: 0x01C0000A, Template.EK_RSA: 0x01C00002}


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """TPMT_PUBLIC of the endorsement key, and of the attestation key of this boot. `certificate` (DER) is the maker's
    over the endorsement key, empty where there is none."""

    ek: bytes
    ak: bytes
    certificate: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """TPMS_ATTEST and TPMT_SIGNATURE of a quote, and the values that it is over."""

    quote: bytes
    signature: bytes
    pcrs: tuple[bytes, ...]


class Chip:
    """Its keys stay loaded until the device is closed. `pause` waits for so many seconds. All raise TpmError."""

    def __init__(self, transact: Transact, pause: Callable[[float], None], entropy: Callable[[int], bytes]) -> None:
        self._transact, self._pause, self._entropy = transact, pause, entropy
        self._ek: Primary | None = None
        self._ak: Primary | None = None

    def keys(self) -> Keys:
        """May take a minute: some TPMs are slow at RSA.

        Always the same endorsement key: the one that has a certificate; of two the one on P-256, which is quick.
        """
        certificates = {template: self._certificate(index) for template, index in _CERTIFICATES.items()}
        template = next((template for template, found in certificates.items() if found), None)
        self._ek = self._endorsement(template)
        self._ak = self._primary(Hierarchy.NULL, Template.AK)
        certificate = certificates[template] if template is not None else b""
        return Keys(ek=self._ek.public, ak=self._ak.public, certificate=certificate)

    def activate(self, blob: bytes, secret: bytes) -> bytes:
        """What the credential holds, if it was made for these two keys of this TPM."""
        ek, ak = self._loaded(self._ek), self._loaded(self._ak)
        session = packet.parse_session(self._ask(packet.start_policy(self._entropy(_NONCE))))
        try:
            packet.opened(packet.Command.POLICY_SECRET, self._ask(packet.policy_secret(session)))
            command = packet.activate_credential(ak.handle, ek.handle, session, blob, secret)
            return packet.parse_secret(self._ask(command))
        except TpmError:
            self._ask(packet.flush(session))  # a TPM has three places for them
            raise

    def measured(self, qualifying: bytes) -> Measured | None:
        """None where the TPM has no PCRs of SHA-256."""
        pcrs = packet.parse_pcrs(self._ask(packet.pcr_read()))
        if not pcrs:
            return None
        quote, signature = packet.parse_quoted(self._ask(packet.quote(self._loaded(self._ak).handle, qualifying)))
        return Measured(quote=quote, signature=signature, pcrs=pcrs)

    def _endorsement(self, template: Template | None) -> Primary:
        if template is not None:
            return self._primary(Hierarchy.ENDORSEMENT, template)
        try:
            return self._primary(Hierarchy.ENDORSEMENT, Template.EK_ECC)
        except RefusalError:
            return self._primary(Hierarchy.ENDORSEMENT, Template.EK_RSA)

    def _primary(self, hierarchy: Hierarchy, template: Template) -> Primary:
        made = packet.parse_primary(self._ask(packet.create_primary(hierarchy, template.public())))
        template.unique(made.public)
        return made

    def _certificate(self, index: int) -> bytes:
        try:
            size = packet.parse_nv_size(self._ask(packet.nv_read_public(index)))
            if not 4 <= size <= _MAX_CERTIFICATE:
                return b""
            chunks = ((at, min(_CHUNK, size - at)) for at in range(0, size, _CHUNK))
            return _trimmed(b"".join(self._read(index, at, part) for at, part in chunks))
        except RefusalError:  # most often: there is none
            return b""

    def _read(self, index: int, offset: int, size: int) -> bytes:
        return packet.parse_nv_data(self._ask(packet.nv_read(index, size, offset)))

    def _ask(self, command: bytes) -> bytes:
        for _ in range(_TRIES):
            answer = self._transact(command)
            if int.from_bytes(answer[6:10], "big") not in packet.PASSING:
                return answer
            self._pause(_PAUSE)
        raise TpmError("the TPM is busy with something else", evidence=f"it said so {_TRIES} times")

    def _loaded(self, key: Primary | None) -> Primary:
        if key is None:
            raise TpmError("the TPM was not asked for its keys yet")
        return key


def _trimmed(data: bytes) -> bytes:
    """Some indices are larger than the certificate in them (X.690, 8.1.3)."""
    is_sequence = data[:2] == b"\x30\x82"
    return data[: 4 + int.from_bytes(data[2:4], "big")] if is_sequence else data

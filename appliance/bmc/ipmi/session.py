"""What is sealed, opened and believed inside a session (IPMI 2.0 sections 6.12.13, 13.8, 13.29). Pure."""

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from appliance.bmc.ipmi import packet
from appliance.bmc.ipmi.packet import Frame, Payload
from appliance.bmc.ipmi.rakp import Keys
from pxe.errors import PacketError

IV_BYTES = 16
_BLOCK = 16
# Section 6.12.13 asks for 8 ahead and 8 behind; a BMC that was busy may skip further ahead.
_AHEAD, _BEHIND = 64, 15


def seal(keys: Keys, payload: Payload, session: int, sequence: int, body: bytes, iv: bytes) -> bytes:
    """A datagram for `session`. `iv` is 16 fresh random bytes."""
    pad = -(len(body) + 1) % _BLOCK
    padded = body + bytes(range(1, pad + 1)) + bytes((pad,))
    encryptor = Cipher(AES(keys.aes), modes.CBC(iv)).encryptor()
    frame = packet.encode_frame(
        payload, session, sequence, iv + encryptor.update(padded) + encryptor.finalize(), flags=packet.SEALED
    )
    frame += packet.trailer(frame)
    return frame + hmac.digest(keys.k1, packet.signed_part(frame), keys.suite.digest)[: keys.suite.code_bytes]


def unseal(keys: Keys, datagram: bytes, session: int) -> tuple[Frame, bytes]:
    """The frame and its decrypted body. What is not authenticated, or not encrypted, is a `PacketError`."""
    frame = packet.decode_frame(datagram, keys.suite.code_bytes)
    if frame.session != session or not frame.encrypted or not frame.code:
        raise PacketError("not of this session")
    expected = hmac.digest(keys.k1, frame.signed, keys.suite.digest)[: keys.suite.code_bytes]
    if not hmac.compare_digest(expected, frame.code):
        raise PacketError("authentication code")
    return frame, _decrypt(keys.aes, frame.body)


def _decrypt(key: bytes, body: bytes) -> bytes:
    if len(body) < IV_BYTES + _BLOCK or len(body) % _BLOCK:
        raise PacketError("encrypted payload of odd size")
    decryptor = Cipher(AES(key), modes.CBC(body[:IV_BYTES])).decryptor()
    padded = decryptor.update(body[IV_BYTES:]) + decryptor.finalize()
    pad = padded[-1]
    if pad >= _BLOCK:
        raise PacketError("confidentiality pad")
    return padded[: len(padded) - 1 - pad]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which sequence numbers were seen: `seen` has bit n set for `highest - n`."""

    highest: int = 0
    seen: int = 1

    def accept(self, sequence: int) -> "Window | None":
        """The window with `sequence` in it, or None for a duplicate or one far off."""
        ahead = sequence - self.highest
        if 0 < ahead <= _AHEAD or (self.highest == 0 and ahead > 0):
            return Window(highest=sequence, seen=((self.seen << min(ahead, _BEHIND + 1)) | 1) & ((2 << _BEHIND) - 1))
        behind = -ahead
        if not 0 <= behind <= _BEHIND or self.seen >> behind & 1:
            return None
        return Window(highest=self.highest, seen=self.seen | 1 << behind)

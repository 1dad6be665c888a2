"""TPMs for tests: swtpm, which is Debian's, and one in Python that can lie."""

import hashlib
import hmac
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256

from appliance.identity.credential import kdf_a, kdf_e
from images.agent.errors import TpmError
from images.agent.tpm_chip import Keys, Measured
from images.agent.tpm_packet import MAX_RESPONSE
from images.agent.tpm_structures import PCRS, Reader, Template, name_of, selection, sized


class Socket:
    """A TPM behind a socket: implements `images.agent.tpm_chip.Transact`."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(os.fspath(path))

    def transact(self, command: bytes) -> bytes:
        self._socket.sendall(command)
        return self._socket.recv(MAX_RESPONSE)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def swtpm(folder: Path) -> Iterator[Path]:
    """The path of its socket, for one connection after the other. What it remembers is in `folder`; it has been started
    up. The control channel, which tpm2-tss wants, is that path with `.ctrl` behind it."""
    path = folder / "swtpm.sock"
    control = f"type=unixio,path={path}.ctrl"
    argv = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--flags", "not-need-init,startup-clear"]
    with subprocess.Popen([*argv, "--server", f"type=unixio,path={path}", "--ctrl", control]) as chip:
        try:
            subprocess.run(["timeout", "10", "sh", "-c", f'until [ -S "{path}.ctrl" ]; do :; done'], check=True)
            yield path
        finally:
            chip.terminate()


def _private(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(name.encode()).digest()[:31], "big"), ec.SECP256R1())


def _public(template: Template, key: ec.EllipticCurvePrivateKey) -> bytes:
    numbers = key.public_key().public_numbers()
    return template.public(numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big"))


@dataclass
class SoftTpm:
    """Implements `images.agent.attest.Tpm`, on P-256. The `name` makes its endorsement key, `boot` its attestation key.

    `claims`: it shows the endorsement key of the TPM of this name instead of its own. `names`: it opens what was made
    for the attestation key of this boot. `values`: what it says was measured, where that is not what it signs.
    """

    name: str
    boot: str = "boot"
    claims: str = ""
    names: str = ""
    pcrs: tuple[bytes, ...] = field(default=tuple(hashlib.sha256(bytes([number])).digest() for number in PCRS))
    values: tuple[bytes, ...] = ()
    qualifies: bytes = b""

    @property
    def _ak(self) -> ec.EllipticCurvePrivateKey:
        return _private(f"ak {self.name} {self.boot}")

    def keys(self) -> Keys:
        ek = _public(Template.EK_ECC, _private(f"ek {self.claims or self.name}"))
        return Keys(ek=ek, ak=_public(Template.AK, self._ak))

    def activate(self, blob: bytes, secret: bytes) -> bytes:
        """The other end of TPM2_MakeCredential, from the same sections."""
        name = name_of(_public(Template.AK, _private(f"ak {self.name} {self.names or self.boot}")))
        private = _private(f"ek {self.name}")
        point, reader = Reader(secret, "point"), Reader(blob, "blob")
        x, y = point.sized(32), point.sized(32)
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        ours = private.public_key().public_numbers().x.to_bytes(32, "big")
        seed = kdf_e(private.exchange(ec.ECDH(), numbers.public_key()), "IDENTITY", x, ours)
        integrity = reader.sized(32)
        hidden = reader.take(len(blob) - 2 - len(integrity))
        if not hmac.compare_digest(hmac.digest(kdf_a(seed, "INTEGRITY", b"", 256), hidden + name, "sha256"), integrity):
            raise TpmError("the TPM refuses activate_credential", evidence="TPM_RC 0x1df")
        return Reader(_plain(kdf_a(seed, "STORAGE", name, 128), hidden), "identity").sized(32)

    def measured(self, qualifying: bytes) -> Measured | None:
        if not self.pcrs:
            return None
        digest = hashlib.sha256(b"".join(self.pcrs)).digest()
        head = b"\xffTCG\x80\x18" + sized(name_of(self.keys().ak)) + sized(self.qualifies or qualifying)
        quote = head + bytes(17 + 8) + selection() + sized(digest)
        r, s = decode_dss_signature(self._ak.sign(quote, ec.ECDSA(SHA256())))
        signature = bytes.fromhex("0018000b") + sized(r.to_bytes(32, "big")) + sized(s.to_bytes(32, "big"))
        return Measured(quote=quote, signature=signature, pcrs=self.values or self.pcrs)


def _plain(key: bytes, data: bytes) -> bytes:
    cipher, last, out = Cipher(AES128(key), ECB()).encryptor(), bytes(16), b""  # noqa: S305  one block each
    for at in range(0, len(data), 16):
        block = data[at : at + 16]
        out += bytes(one ^ other for one, other in zip(block, cipher.update(last), strict=False))
        last = block
    return out

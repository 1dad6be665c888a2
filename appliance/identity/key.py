"""The appliance's own key: what agents know it by, and what tokens and seals are made with."""

from dataclasses import dataclass, field
from pathlib import Path

from appliance.errors import MachineryError
from appliance.model.ids import MachineName, Nonce
from appliance.ports import Rng
from appliance.store.secrets import SecretFile
from images.agent.bond import SIZE, agree, derived, public_of
from images.agent.medium import Medium


@dataclass(frozen=True, slots=True)
class ApplianceKey:
    """X25519. Nothing of it is ever sent but the public half."""

    _private: bytes = field(repr=False)

    @property
    def public(self) -> bytes:
        return public_of(self._private)

    def shared(self, agent: bytes) -> bytes:
        """With the agent of this public key. Raises ProtocolError."""
        return agree(self._private, agent)

    def token(self, machine: MachineName, nonce: Nonce, number: int) -> bytes:
        """256 bits that nobody can guess, and that need not be kept: a daemon that comes back makes the same."""
        return derived(self._private, f"token {machine} {nonce} {number}")

    def medium(self, machine: MachineName, nonce: Nonce, number: int) -> Medium:
        return Medium(token=self.token(machine, nonce, number), appliance=self.public)


def kept_key(path: Path, rng: Rng) -> ApplianceKey:
    """Made when there is none yet. Raises `MachineryError`."""
    file = SecretFile(path, rng)
    try:
        data = file.load()
        if data is None:
            data = bytes.fromhex(rng.token(SIZE))
            file.save(data)
    finally:
        file.close()
    if len(data) != SIZE:
        raise MachineryError(
            f"{path} holds no key", evidence=f"{len(data)} bytes", next_action="restore it from a backup"
        )
    return ApplianceKey(data)

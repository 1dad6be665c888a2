"""What the first boot needs of the world."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from appliance.bmc.discovery import Found, Suspect
from appliance.model.secret import Secret
from appliance.setup.answers import Answers, Nic
from appliance.setup.files import File
from appliance.setup.sealing import Disk, Sealing


class Ground(Protocol):
    """The computer that the appliance runs on."""

    def disk(self) -> Disk:
        """How the data partition is. Raises `MachineryError`."""
        ...

    def has_tpm(self) -> bool: ...

    def make(self, sealing: Sealing) -> Secret:
        """A new data partition, mounted; the recovery key, "" of one that is not encrypted. Raises `MachineryError`."""
        ...

    def unlock(self, passphrase: Secret) -> None:
        """Mounts it. Raises `RefusedError` where it is not its passphrase or recovery key, `MachineryError`."""
        ...

    def write_recovery(self, key: Secret) -> bool:
        """To the stick; whether it is there now."""
        ...

    def is_set_up(self) -> bool:
        """Whether the first boot is over, as far as the data partition tells, which is open."""
        ...

    def nics(self) -> Sequence[Nic]:
        """Also those without a link, in a fixed order."""
        ...

    def stick(self) -> str | None:
        """The answers that somebody left on a stick, as they were written."""
        ...

    def raise_network(self, text: str) -> None:
        """Keeps a configuration of systemd-networkd, and applies it now. Raises `MachineryError`."""
        ...

    def find(self, suspects: Sequence[Suspect]) -> Sequence[Found]:
        """The BMCs among them. Raises `MachineryError`."""
        ...

    def own_key(self) -> str:
        """The public line of the key by which the appliance enters installed machines. Raises `MachineryError`."""
        ...

    def keep(self, files: Mapping[File, str], answers: Answers) -> None:
        """On the data partition, the last file last; the log-in goes to the vault. Raises `MachineryError`."""
        ...

    def start(self) -> None:
        """The daemon; returns when it answers. Raises `MachineryError`."""
        ...

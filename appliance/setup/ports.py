"""What the first boot needs of the world."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from appliance.bmc.discovery import Found, Suspect
from appliance.setup.answers import Answers, Nic
from appliance.setup.files import File


class Ground(Protocol):
    """The computer that the appliance runs on."""

    def nics(self) -> Sequence[Nic]:
        """Also those without a link, in a fixed order."""
        ...

    def stick(self) -> str | None:
        """The answers that somebody left on a stick, as they were written."""
        ...

    def raise_network(self, text: str) -> None:
        """Applies a configuration of systemd-networkd now. Raises `MachineryError`."""
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

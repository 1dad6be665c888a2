"""A secret that a machine gets with its seed: named in plans, read from its file when the machine has proven itself."""

import re
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from appliance.errors import SiteError
from appliance.model.identity import Release

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedSecret:
    """The machine has it as /etc/innervate/secrets/NAME, for root alone. In `file`, {machine} stands for its name.

    The file is the appliance's own, and readable by it alone. `release`: whose secret it is; one of the whole cluster
    may ask for a higher rung than the machine's own. Raises `SiteError`.
    """

    name: str
    file: str
    release: Annotated[Release, Field(exclude_if=lambda release: release is Release.OWN)] = Release.OWN

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise SiteError(
                f"{self.name[:60]!r} cannot name a secret",
                next_action="use lower-case letters, digits, dots, dashes and underscores, at most 48",
            )
        if not self.file.startswith("/"):
            raise SiteError(
                f"the file of secret {self.name} is no absolute path",
                evidence=self.file[:100],
                next_action="write the whole path, such as /etc/innervate/secrets/{machine}.token",
            )

    def file_of(self, machine: str) -> str:
        return self.file.replace("{machine}", machine)

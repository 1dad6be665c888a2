"""The TPM as Linux shows it: one command is written, its answer is read (drivers/char/tpm/tpm-dev-common.c)."""

import os
from pathlib import Path

from .errors import TpmError
from .tpm_packet import MAX_RESPONSE

DEVICE = Path("/dev/tpmrm0")
"""With the kernel's resource manager: keys and sessions are ours, and go when the device is closed."""


class Device:
    """Open for as long as it lives. Raises TpmError, which says what is missing."""

    def __init__(self, path: Path = DEVICE) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise TpmError(_why_not(path)) from error
        except OSError as error:
            raise TpmError("its TPM cannot be opened", evidence=str(error)) from error

    def transact(self, command: bytes) -> bytes:
        try:
            os.write(self._fd, command)
            return os.read(self._fd, MAX_RESPONSE)
        except OSError as error:
            raise TpmError("the TPM does not answer", evidence=str(error)) from error

    def close(self) -> None:
        os.close(self._fd)


def _why_not(path: Path) -> str:
    """A TPM 1.2 has a device of its own, and none with a resource manager."""
    if path.with_name(path.name.replace("rm", "")).exists():
        return "it has a TPM 1.2, which cannot do this"
    return "it has no TPM, or its firmware hides it"

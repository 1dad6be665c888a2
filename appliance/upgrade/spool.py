"""Where the daemon leaves a bundle and an order for the upgrade, which has rights that the daemon lacks."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from appliance.errors import MachineryError, UsageError

FOLDER = "upgrade"
"""In the state folder."""
BUNDLE, ORDER = "bundle", "order"
_ORDER_LIMIT = 32
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class Order(StrEnum):
    UPGRADE = "upgrade"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spool:
    """The folder is the daemon's, and so not believed: no link in it is followed."""

    folder: Path

    def take_order(self) -> Order | None:
        """Once; None where there is none. Raises `MachineryError`, `UsageError`."""
        with self._opened() as folder:
            try:
                with os.fdopen(os.open(ORDER, _READ, dir_fd=folder), "rb") as file:
                    said = file.read(_ORDER_LIMIT).decode("ascii", "replace")
            except FileNotFoundError:
                return None
            os.unlink(ORDER, dir_fd=folder)
        try:
            return Order(said)
        except ValueError as error:
            raise UsageError(f"{said!r:.40} is no order", next_action="ask with `innervate appliance`") from error

    @contextmanager
    def bundle(self) -> Iterator[BinaryIO]:
        """It is gone afterwards, whatever came of it."""
        with self._opened() as folder:
            try:
                with os.fdopen(os.open(BUNDLE, _READ, dir_fd=folder), "rb") as file:
                    yield file
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(BUNDLE, dir_fd=folder)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        try:
            opened = os.open(self.folder, _READ | os.O_DIRECTORY)
            try:
                yield opened
            finally:
                os.close(opened)
        except OSError as error:
            action = "send the bundle again"
            raise MachineryError(f"{self.folder} cannot be used", evidence=str(error), next_action=action) from error

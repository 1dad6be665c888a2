"""A reset: the image's helper erases the data partition; elsewhere the daemon ends, and erases what it kept."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from appliance.errors import MachineryError
from appliance.model.leaving_views import Erasure
from appliance.services.leaving import Eraser
from appliance.setup.helper import Helper, Verb
from appliance.store.erasing import erase

_LOGGER = logging.getLogger("innervate")


class Forgetting:
    def __init__(self, state_dir: Path, key: Path, helper: Helper) -> None:
        self._state_dir, self._key, self._helper = state_dir, key, helper
        self._wanted = False

    def eraser(self, stop: Callable[[], None]) -> Eraser:
        """`stop` ends the daemon."""

        async def whole_disk() -> None:
            await asyncio.to_thread(self._helper.done, Verb.RESET)

        async def folder() -> None:
            self._wanted = True
            asyncio.get_running_loop().call_soon(stop)

        if self._helper.is_there():
            return Eraser(erases=Erasure.DISK, begin=whole_disk)
        return Eraser(erases=Erasure.FOLDER, begin=folder)

    def finish(self) -> None:
        """When nothing is open any more. Raises `MachineryError`."""
        if not self._wanted:
            return
        try:
            erase(self._state_dir, self._key, self._key.with_name(f"{self._key.name}.pub"))
        except OSError as error:
            action = f"remove what is left by hand: {self._state_dir}"
            raise MachineryError("not all could be erased", evidence=str(error), next_action=action) from error
        _LOGGER.warning("a reset was asked for: %s is erased", self._state_dir)

"""The time, given to machines by chronyd on this computer."""

import os
import pwd
from collections.abc import Sequence

from appliance.errors import MachineryError
from appliance.files import write_whole
from appliance.ports import Clock
from appliance.supervision.keeper import Keeper
from appliance.supervision.ports import Children
from appliance.timekeeping.config import Answering, argv, rendered

PROGRAM = "chronyd"


def time_keeper(answering: Answering, children: Children, clock: Clock, program: Sequence[str] = (PROGRAM,)) -> Keeper:
    """Raises `MachineryError` where what it reads cannot be written."""
    configuration = answering.folder / "chrony.conf"
    try:
        answering.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_whole(configuration, rendered(answering).encode())
    except OSError as error:
        raise MachineryError(
            f"{configuration} cannot be written", evidence=str(error)[:200], next_action="check the disk"
        ) from error
    return Keeper("time service", argv(program, configuration, _user()), children, clock)


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name

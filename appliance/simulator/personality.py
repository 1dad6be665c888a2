"""What makes of BMCs are like: each one's documents are in `makes`, its habits in the rows below. Pure but for that."""

import json
from dataclasses import dataclass
from enum import Enum
from importlib.resources import files

from appliance.bmc.redfish_codec import JsonObject

Tree = dict[str, JsonObject]
"""Documents by their path, with the query where a page has one."""


class Make(Enum):
    DELL = "dell"
    """iDRAC 9, firmware 5."""
    HPE = "hpe"
    """iLO 6."""
    SUPERMICRO = "supermicro"
    """X11."""
    LENOVO = "lenovo"
    """XCC of ThinkSystem."""
    AMI = "ami"
    """MegaRAC SP-X; OpenBMC's documents are much the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """`settings`: the last word of the path where boot changes belong; `whole`: incomplete boot changes are accepted
    and forgotten; `gap`: seconds after a change before which the next is refused; `tasks`: boot changes become tasks;
    `etags`: If-Match is demanded; `leaves`: a leaf is known only after its parent was asked for; `body`: an action
    without one is refused; `protocol`: InsertMedia wants its TransferProtocolType; `same`: a command to become what
    the machine already is, is refused.
    """

    settings: str = ""
    whole: bool = False
    gap: float = 0.0
    tasks: bool = False
    etags: bool = False
    leaves: bool = False
    body: bool = False
    protocol: bool = False
    same: bool = False


HABITS = {
    Make.DELL: Habits(settings="Settings", gap=20.0, tasks=True),
    Make.HPE: Habits(body=True, same=True),
    Make.SUPERMICRO: Habits(whole=True),
    Make.LENOVO: Habits(etags=True, leaves=True),
    Make.AMI: Habits(settings="SD", etags=True, protocol=True),
}


def tree_of(make: Make) -> Tree:
    """A copy of its own, of a machine that is off."""
    text = files("appliance.simulator").joinpath("makes", f"{make.value}.json").read_text()
    tree: Tree = json.loads(text)["tree"]
    return tree

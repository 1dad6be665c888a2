"""Closed sets that the command line names before it loads anything else; `appliance.model.views` shows them."""

from enum import Enum

SITE_PURPOSE = "provision the site"
"""`PlanView.purpose` of all that the site program wants; of an errand it is the errand and its machine."""
RETIREMENT = "retire the site"
"""The same of the end of all of it."""

STAGES = ("dhcp", "tftp", "script", "hello", "written", "first_boot", "ssh")
"""Of a boot, in order: the keys of `MachineView.stages`."""


class Errand(Enum):
    """What can be wanted of one machine, beside what the site program wants of all.

    `WIPE`: its disks forget what they held; `ERASE`: every byte of them reads back as zero. `DECOMMISSION`: drained,
    erased, its lease, name, boot intent and BMC log-in gone; the record is kept. `REPLACE`: a spare takes its role.
    """

    REINSTALL = "reinstall"
    WIPE = "wipe"
    ERASE = "erase"
    RESCUE = "rescue"
    DECOMMISSION = "decommission"
    REPLACE = "replace"


class PowerAction(Enum):
    ON = "on"
    OFF = "off"
    FORCE_OFF = "force-off"
    CYCLE = "cycle"


class RunState(Enum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Destroys(Enum):
    """How much a plan destroys at most. `BLANK`: it writes disks on which nothing was found."""

    NOTHING = "nothing"
    BLANK = "blank"
    ANYTHING = "anything"


class GoalState(Enum):
    """`WORKING` while a run goes on, or the next plan is made; `ASKING` while a plan waits for approval."""

    WORKING = "working"
    ASKING = "asking"
    REACHED = "reached"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AddressState(Enum):
    """`RESERVED`: promised to a machine that has no lease now. `EXPIRED`: its machine gets it again while it is free.
    `DECLINED`: a machine said that somebody else uses it, so nobody gets it for a while."""

    BOUND = "bound"
    RESERVED = "reserved"
    RELEASED = "released"
    EXPIRED = "expired"
    DECLINED = "declined"


class Buildable(Enum):
    """What `innervate image build` makes."""

    APPLIANCE = "appliance"

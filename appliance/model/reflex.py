"""What the appliance does by itself when a machine is not as it should be: stated in the site program."""

from dataclasses import dataclass
from enum import Enum


class Policy(Enum):
    """`TELL`: a condition and a line in the timeline. `HOLD`: nothing touches the machine before a person looked.
    `REPLACE`: a spare takes its role."""

    TELL = "tell"
    HOLD = "hold"
    REPLACE = "replace"


class Stray(Enum):
    """How an active machine is not what was installed."""

    RETURNS = "returns"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reflexes:
    """One policy for each thing that is noticed.

    `on_failure`: an installation failed for good. `on_silence`: an active machine does not answer any more.
    `on_return`: it comes back to the boot server again and again. `on_change`: the disk that it was installed on is
    gone.
    """

    on_failure: Policy = Policy.TELL
    on_silence: Policy = Policy.TELL
    on_return: Policy = Policy.TELL
    on_change: Policy = Policy.TELL

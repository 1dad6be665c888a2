"""What people approve beforehand, where one plan can only be made when another has been carried out."""

from dataclasses import dataclass

from appliance.model.doctor import Check
from appliance.model.words import Destroys


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent:
    """Which of the plans that follow the appliance carries out without asking: those that destroy no more than this.

    `disks` are serial numbers or WWNs of disks that may be written whatever they hold. `despite`: failures that these
    checks of the doctor find stop none of them.
    """

    destroys: Destroys = Destroys.NOTHING
    disks: tuple[str, ...] = ()
    despite: tuple[Check, ...] = ()


ASK = Consent()
EVERYTHING = Consent(destroys=Destroys.ANYTHING)

"""A power command against a BMC alone, without a run: told once, then watched until `judge` decides."""

from collections.abc import Callable, Sequence

from appliance.bmc.evidence import Finding, Rung, Sighting, Verdict, judge
from appliance.bmc.port import Bmc
from appliance.errors import BmcError, BmcSilentError
from appliance.model.bmc import PowerCommand
from appliance.ports import Clock

Witness = Callable[[], Sequence[Sighting]]
"""What others than the BMC saw of the machine, by the same clock."""

_LOOK_EVERY = 2.0


async def prove(bmc: Bmc, command: PowerCommand, *, sightings: Witness, clock: Clock, budget: float) -> Finding:
    """Gives the command once; returns as soon as it is confirmed, else what is known after `budget` seconds.

    An answer that got lost is no failure: the effect decides. Raises the `BmcError` of a command that the BMC refused,
    or whose answer got lost and whose effect was not seen either.
    """
    began = clock.now()
    lost: BmcSilentError | None = None
    try:
        await bmc.command(command)
    except BmcSilentError as error:
        lost = error
    finding = await _watch(bmc, command, began, sightings, clock, budget)
    if lost is not None and finding.verdict is not Verdict.CONFIRMED:
        raise lost
    return finding


async def _watch(
    bmc: Bmc, command: PowerCommand, began: float, sightings: Witness, clock: Clock, budget: float
) -> Finding:
    deadline, said, silence = clock.monotonic() + budget, None, None
    while True:
        try:
            said = Sighting(rung=Rung.BMC, power=await bmc.power_state(), at=clock.now())
        except BmcError as error:
            silence = error
        finding = judge(command, began, (*sightings(), *((said,) if said else ())))
        if finding.verdict is Verdict.CONFIRMED or command is PowerCommand.NMI:
            return finding
        if clock.monotonic() >= deadline:
            if silence is not None and said is None:
                raise silence
            return finding
        await clock.sleep(_LOOK_EVERY)

"""One `ensure` per action: look, act if needed, verify. Each may run twice."""

from typing import assert_never

from appliance.conductor.hands import Attempt, Hands
from appliance.conductor.outcome import Outcome
from appliance.conductor.steps.agent import ensure_agent, ensure_facts
from appliance.conductor.steps.install import ensure_booted, ensure_image, ensure_seed
from appliance.conductor.steps.power import ensure_enrolled, ensure_power
from appliance.conductor.steps.shell import ensure_confirmed
from appliance.plan import (
    BootAgent,
    BootDisk,
    ConfirmShell,
    Enrol,
    Inspect,
    SetPower,
    WriteImage,
    WriteSeed,
)


async def ensure(hands: Hands, attempt: Attempt) -> Outcome:
    match attempt.step.do:
        case Enrol():
            return await ensure_enrolled(hands, attempt)
        case BootAgent():
            return await ensure_agent(hands, attempt)
        case Inspect():
            return await ensure_facts(hands, attempt)
        case WriteImage() as do:
            return await ensure_image(hands, attempt, do)
        case WriteSeed() as do:
            return await ensure_seed(hands, attempt, do)
        case BootDisk() as do:
            return await ensure_booted(hands, attempt, do)
        case ConfirmShell() as do:
            return await ensure_confirmed(hands, attempt, do)
        case SetPower() as do:
            return await ensure_power(hands, attempt, do)
        case _:
            assert_never(attempt.step.do)

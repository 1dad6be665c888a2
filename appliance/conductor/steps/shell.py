"""The last proof: we are inside the installed system, and it is the machine that we think it is."""

import asyncio
from ipaddress import IPv4Address

from appliance.conductor.hands import Attempt, Hands
from appliance.conductor.outcome import Done, Failed, Outcome
from appliance.errors import ShellError, UnreachableError
from appliance.inventory.model import Installed
from appliance.plan import ConfirmShell, ShellCheck
from appliance.store.records import Problem

_AGAIN = 2.0


async def ensure_confirmed(hands: Hands, attempt: Attempt, do: ConfirmShell) -> Outcome:
    installed = hands.memory.world.machine(attempt.machine).installed
    if installed is None:
        return Failed(
            problem=Problem(
                code="not-installed",
                message="no installed system has reported from this machine",
                next_action="plan again: the installation has to come first",
            )
        )
    evidence = {"address": str(installed.address)}
    for check in do.checks:
        output = await _run(hands, attempt, do.user, installed, check)
        if check.expected and output != check.expected:
            return Failed(problem=_mismatch(check, output))
        evidence[check.name] = output
    return Done(evidence=evidence)


async def _run(hands: Hands, attempt: Attempt, user: str, installed: Installed, check: ShellCheck) -> str:
    """Raises `ShellError`; while the machine cannot be reached, tries until the step's budget ends."""
    deadline = hands.clock.monotonic() + attempt.step.budget * 0.9
    while True:
        try:
            return await asyncio.to_thread(
                hands.shells.run, _address(hands, attempt, installed), user, installed.host_keys, check.argv
            )
        except UnreachableError as error:
            if hands.clock.monotonic() > deadline:
                raise ShellError(
                    f"no SSH session within {attempt.step.budget * 0.9:.0f} s",
                    evidence=error.evidence,
                    next_action="read the serial console; check sshd and the network of the installed system",
                ) from error
            hands.waiting(attempt.machine, f"waiting for SSH: {error}")
            await hands.clock.sleep(_AGAIN)


def _address(hands: Hands, attempt: Attempt, installed: Installed) -> IPv4Address:
    return hands.memory.world.machine(attempt.machine).address or installed.address


def _mismatch(check: ShellCheck, output: str) -> Problem:
    return Problem(
        code="check-failed",
        message=f"the installed system does not pass {check.name}",
        evidence=f"{' '.join(check.argv)} printed {output[:200]!r}, expected {check.expected!r}",
        next_action="enter the machine with innervate ssh and look; then plan again",
    )

"""Steps that put an operating system on a disk and start it."""

import asyncio

from appliance.conductor.hands import Attempt, Hands
from appliance.conductor.outcome import Done, Failed, Outcome
from appliance.conductor.steps.agent import agent_returns, exchange, run_task
from appliance.conductor.steps.power import command_power
from appliance.model.bmc import BootTarget, PowerCommand
from appliance.plan import BootDisk, DiskRef, WriteImage, WriteSeed
from appliance.store.records import FirstBootSeen, Problem
from images.agent import protocol


async def ensure_image(hands: Hands, attempt: Attempt, do: WriteImage) -> Outcome:
    task = protocol.WriteImage(
        id=attempt.task,
        fence=attempt.fence,
        manifest=protocol.HashedFile(path=hands.library.manifest_path(do.image), sha256=do.image.manifest_sha256),
        blob=protocol.BlobFile(path=hands.library.blob_path(do.image)),
        disk=_disk(do.disk),
        expect_contents=do.disk.contents,
    )
    return await run_task(hands, attempt, task)


async def ensure_seed(hands: Hands, attempt: Attempt, do: WriteSeed) -> Outcome:
    seed = await asyncio.to_thread(hands.library.publish_seed, do, attempt.nonce)
    task = protocol.WriteSeed(
        id=attempt.task,
        fence=attempt.fence,
        disk=_disk(do.disk),
        seed=protocol.SeedFile(path=seed.path, sha256=seed.sha256, size=seed.size),
    )
    return await run_task(hands, attempt, task)


def _disk(disk: DiskRef) -> protocol.DiskName:
    return protocol.DiskName(serial=disk.serial, wwn=disk.wwn, size_bytes=disk.size_bytes)


async def ensure_booted(hands: Hands, attempt: Attempt, do: BootDisk) -> Outcome:
    """The installed system itself reported with the nonce of its seed; nothing less counts."""
    await agent_returns(hands, attempt, lambda: _heard(hands, attempt))
    if (report := _report(hands, attempt)) is not None:
        return _booted(report)
    patience = attempt.step.budget * 0.45
    if hands.agents.alive(attempt.machine):
        task = protocol.BootDisk(id=attempt.task, fence=attempt.fence, disk=_disk(do.disk))
        told = await exchange(hands, attempt, task)
        if not isinstance(told, Done):
            return told
        report = await _await_report(hands, attempt, "rebooting from its disk", patience)
    elif attempt.resumed_from is not None:
        # The agent may have left before we came back: a BMC restart now could hit the system's first boot.
        report = await _await_report(hands, attempt, "perhaps told to boot from its disk already", patience)
    if report is None:
        await hands.bmc_of(attempt.machine).set_boot_once(BootTarget.DISK)
        await command_power(hands, attempt, PowerCommand.FORCE_RESTART)
        report = await _await_report(hands, attempt, "restarted by the BMC from its disk", patience)
    return _booted(report) if report else Failed(problem=_NO_REPORT)


def _heard(hands: Hands, attempt: Attempt) -> bool:
    return hands.agents.alive(attempt.machine) or _report(hands, attempt) is not None


async def _await_report(hands: Hands, attempt: Attempt, how: str, patience: float) -> FirstBootSeen | None:
    hands.waiting(attempt.machine, f"{how}; waiting for the installed system's report")
    return await hands.memory.until(attempt.machine, lambda: _report(hands, attempt), patience)


def _report(hands: Hands, attempt: Attempt) -> FirstBootSeen | None:
    state = hands.memory.world.machine(attempt.machine)
    report = state.first_boot
    return report if report is not None and report.nonce == state.seed_nonce else None


def _booted(report: FirstBootSeen) -> Outcome:
    return Done(
        evidence={
            "hostname": report.hostname,
            "address": str(report.address),
            "boot_id": report.boot_id,
            "nonce": report.nonce[:8],
        }
    )


_NO_REPORT = Problem(
    code="first-boot-silent",
    message="the disk was written and the machine restarted, but the installed system never reported",
    evidence="no report with the seed's nonce, neither after the agent's reboot nor after one by the BMC",
    next_action="read the serial console: boot order, boot loader or the network of the installed system",
)

"""A step as the task that the agent is given."""

import asyncio
from typing import assert_never

from appliance.conductor.hands import Hands
from appliance.conductor.runs import Attempt
from appliance.errors import RefusedError
from appliance.model.identity import Bound
from appliance.model.on_clusters import OnClusters
from appliance.plan import (
    BootAgent,
    BootDisk,
    ConfirmShell,
    DiskRef,
    Drain,
    Enrol,
    Inspect,
    Rescue,
    Retire,
    RunInstaller,
    SetPower,
    Step,
    Wipe,
    WriteImage,
    WriteSeed,
)
from images.agent import protocol


async def task_of(hands: Hands, step: Step, attempt: Attempt, reader: Bound | None) -> protocol.Task:
    """`reader` is the agent that is to do it. Raises `RefusedError` where it may not have what the task needs."""
    no_work = AssertionError(f"{step.id} is no work of the agent's")
    if isinstance(step.do, OnClusters):
        raise no_work
    match step.do:
        case WriteImage(image=image, disk=disk):
            return protocol.WriteImage(
                id=attempt.task,
                fence=attempt.fence,
                manifest=protocol.HashedFile(path=hands.library.manifest_path(image), sha256=image.manifest_sha256),
                blob=protocol.BlobFile(path=hands.library.blob_path(image)),
                disk=_disk(disk),
                expect_contents=disk.contents,
            )
        case WriteSeed(disk=disk) as do:
            if reader is None:
                raise RefusedError("no agent is known that this seed could be sealed for", next_action="plan again")
            seed = await asyncio.to_thread(hands.library.publish_seed, do, attempt.nonce, reader)
            file = protocol.SeedFile(path=seed.path, sha256=seed.sha256, size=seed.size, salt=seed.salt)
            return protocol.WriteSeed(id=attempt.task, fence=attempt.fence, disk=_disk(disk), seed=file)
        case BootDisk(disk=disk):
            return protocol.BootDisk(id=attempt.task, fence=attempt.fence, disk=_disk(disk))
        case Wipe(disk=disk, level=level):
            return protocol.Wipe(
                id=attempt.task, fence=attempt.fence, disk=_disk(disk), expect_contents=disk.contents, level=level
            )
        case Rescue(authorized_keys=keys):
            return protocol.Rescue(id=attempt.task, fence=attempt.fence, authorized_keys=keys)
        case Inspect():
            return protocol.Inspect(id=attempt.task, fence=attempt.fence)
        case Enrol() | BootAgent() | ConfirmShell() | SetPower() | Drain() | Retire() | RunInstaller():
            raise no_work
        case _:
            assert_never(step.do)


def _disk(disk: DiskRef) -> protocol.DiskName:
    return protocol.DiskName(serial=disk.serial, wwn=disk.wwn, size_bytes=disk.size_bytes)

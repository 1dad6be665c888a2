"""InstallLinux: every machine runs a given image from its own disk, and lets us in."""

from dataclasses import dataclass, field
from typing import Protocol

from appliance.capabilities import (
    BareMachines,
    BootOverride,
    ImageLibrary,
    NameService,
    NetworkBoot,
    PowerControl,
    Shell,
)
from appliance.errors import PlanError
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.cloud_init import CloudInit
from appliance.model.hardware import Disk, HardwareFacts
from appliance.model.ids import ImageName, MachineName
from appliance.model.seed_secret import SeedSecret
from appliance.plan import (
    BootDisk,
    ConfirmShell,
    Deferred,
    DiskRef,
    ImageRef,
    Plan,
    ShellCheck,
    Step,
    WriteImage,
    WriteSeed,
)
from appliance.roles.disk import DiskPolicy, Overwrite, SmallestDisk, choose_disk, describe
from appliance.scores.score import BOOT_AGENT_SECONDS, Move, boot_agent, chain

NAME = "install-linux"
WRITE_SECONDS = 3600.0
SEED_SECONDS = BOOT_AGENT_SECONDS + 120.0  # an agent that was lost is booted again first
BOOT_SECONDS = 2000.0  # two starts share it, each as patient as that of the agent
SHELL_SECONDS = 600.0


class InstallNeeds(
    BareMachines, PowerControl, BootOverride, NetworkBoot, NameService, ImageLibrary, Shell, Protocol
): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallLinux:
    """`machines` None means all; where the topology gives roles, all that have one, or the one named by `role`, each on
    the disk that its role states. A machine that already runs the image is left alone, whatever `overwrite` says.
    `cloud_init` is for images that carry cloud-init. `secrets` wait until a machine has proven which one it is."""

    image: str
    disk: DiskPolicy = field(default_factory=SmallestDisk)
    overwrite: Overwrite = Overwrite.BLANK_ONLY
    machines: tuple[str, ...] | None = None
    role: str | None = None
    cloud_init: CloudInit = field(default_factory=CloudInit)
    secrets: tuple[SeedSecret, ...] = ()
    name: str = field(default=NAME, init=False)

    def plan(self, site: InstallNeeds, inventory: Inventory) -> Plan:
        image = self._image(site, inventory)
        everyone = [inventory.record(name) for name in self._targets(site)]
        records = [record for record in everyone if self._is_meant(record, inventory)]
        wanting = [record for record in records if not _is_confirmed(record, image)]
        unseen = [record.name for record in wanting if record.facts is None]
        return Plan(
            site=self.name,
            steps=tuple(step for record in wanting for step in self._steps(site, record, image, inventory)),
            deferred=tuple(
                Deferred(score=self.name, reason=f"{name}: its hardware is not known yet; Discover must run first")
                for name in unseen
            ),
        )

    def _image(self, site: InstallNeeds, inventory: Inventory) -> ImageRef:
        name = ImageName(self.image)
        if name in site.images and name in inventory.images:
            return inventory.images[name]
        at_hand = ", ".join(sorted(set(site.images) & set(inventory.images))) or "none"
        raise PlanError(
            f"{self.name}: there is no image {self.image!r}",
            evidence=f"offered by the topology: {', '.join(sorted(site.images)) or 'none'}; at hand: {at_hand}",
            next_action=f"build the image and offer it in the topology, or name one at hand: {at_hand}",
        )

    def _targets(self, site: InstallNeeds) -> tuple[MachineName, ...]:
        if self.machines is None:
            return site.machines
        if strangers := sorted(set(self.machines) - set(site.machines)):
            raise PlanError(
                f"{self.name}: the topology has no machine {', '.join(strangers)}",
                evidence=f"machines: {', '.join(site.machines)}",
                next_action="correct the names in the score, or add the servers to the topology",
            )
        return tuple(name for name in site.machines if name in self.machines)

    def _is_meant(self, record: MachineRecord, inventory: Inventory) -> bool:
        return not inventory.by_role or (bool(record.role) and self.role in (None, record.role))

    def _steps(
        self, site: InstallNeeds, record: MachineRecord, image: ImageRef, inventory: Inventory
    ) -> tuple[Step, ...]:
        if record.facts is None:
            return ()
        confirm = _confirm(site, record.name, record.facts)
        if record.installed is not None and record.installed.image == image:
            return chain(self.name, record.name, (confirm,))
        policy, overwrite = inventory.disks.get(record.role, (self.disk, self.overwrite))
        disk = _disk(record.name, record.facts, image, policy, overwrite)
        return chain(self.name, record.name, (*self._way(site, record.name, image, disk), confirm))

    def _way(self, site: InstallNeeds, name: MachineName, image: ImageRef, disk: Disk) -> tuple[Move, ...]:
        ref, documents = DiskRef.of(disk), self.cloud_init.documents
        seed = WriteSeed(
            disk=ref,
            hostname=name,
            domain=site.domain,
            authorized_keys=_keys(site),
            cloud_init=documents,
            secrets=self.secrets,
        )
        also = ", and data for cloud-init" if documents else ""
        also += f", and {len(self.secrets)} secrets once it has proven itself" if self.secrets else ""
        return (
            boot_agent(name),
            Move(
                do=WriteImage(image=image, disk=ref),
                summary=f"write {image.name} to disk {describe(disk)} of {name}, which now holds: {disk.contents}",
                budget=WRITE_SECONDS,
            ),
            Move(do=seed, summary=f"write host name, keys and network of {name}{also}", budget=SEED_SECONDS),
            Move(do=BootDisk(disk=ref, image=image), summary=f"boot {name} from its disk", budget=BOOT_SECONDS),
        )


def _disk(name: MachineName, facts: HardwareFacts, image: ImageRef, policy: DiskPolicy, overwrite: Overwrite) -> Disk:
    try:
        return choose_disk(facts, policy, image.raw_bytes, overwrite)
    except PlanError as error:
        raise PlanError(f"{name}: {error}", evidence=error.evidence, next_action=error.next_action) from error


def _is_confirmed(record: MachineRecord, image: ImageRef) -> bool:
    return record.installed is not None and record.installed.image == image and record.installed.confirmed


def _keys(site: InstallNeeds) -> tuple[str, ...]:
    if not site.shell.authorized_keys:
        raise PlanError(
            "nobody could enter the installed machines: the topology has no authorized keys",
            evidence=f"user {site.shell.user}, 0 keys",
            next_action="put an OpenSSH public key line into the topology's ShellAccess",
        )
    return site.shell.authorized_keys


def _confirm(site: InstallNeeds, name: MachineName, facts: HardwareFacts) -> Move:
    return Move(
        do=ConfirmShell(user=site.shell.user, checks=(_identity_check(facts),)),
        summary=f"enter {name} by SSH and see that it is the machine that was installed",
        budget=SHELL_SECONDS,
    )


def _identity_check(facts: HardwareFacts) -> ShellCheck:
    """Serial, else UUID; a machine with neither is known by the host key that it reported with its nonce."""
    if facts.serial:
        return ShellCheck(name="serial", argv=("cat", "/sys/class/dmi/id/product_serial"), expected=facts.serial)
    if facts.uuid:
        return ShellCheck(name="uuid", argv=("cat", "/sys/class/dmi/id/product_uuid"), expected=str(facts.uuid))
    return ShellCheck(name="shell", argv=("true",))

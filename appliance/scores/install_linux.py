"""InstallLinux: every machine runs a given image from its own disk, and lets us in."""

from dataclasses import dataclass, field
from typing import Protocol, assert_never

from appliance.capabilities import (
    BareMachines,
    BootOverride,
    HostNetworks,
    ImageLibrary,
    NameService,
    NetworkBoot,
    PowerControl,
    Shell,
)
from appliance.errors import PlanError
from appliance.install.network import Seen, resolved
from appliance.inventory.model import Inventory, MachineRecord
from appliance.model.cloud_init import CloudInit
from appliance.model.hardware import Disk, HardwareFacts
from appliance.model.ids import ImageName, MachineName
from appliance.model.ignition import Config
from appliance.model.links import MachineNetwork, described
from appliance.model.seed_secret import SeedSecret
from appliance.plan import (
    BootDisk,
    ConfigRef,
    ConfirmShell,
    Deferred,
    DiskRef,
    ImageRef,
    InstallerRef,
    OsRef,
    Plan,
    RunInstaller,
    ShellCheck,
    Step,
    WriteImage,
    WriteSeed,
)
from appliance.roles.disk import DiskPolicy, Overwrite, SmallestDisk, choose_disk, describe
from appliance.scores.score import BOOT_AGENT_SECONDS, Move, boot_agent, chain

NAME = "install-linux"
WRITE_SECONDS = 3600.0
INSTALL_SECONDS = 10800.0  # of which a slow machine unpacks packages for most
SEED_SECONDS = BOOT_AGENT_SECONDS + 120.0  # an agent that was lost is booted again first
BOOT_SECONDS = 2000.0  # two starts share it, each as patient as that of the agent
IGNITION_SECONDS = 3600.0
SHELL_SECONDS = 600.0


class InstallNeeds(
    BareMachines, PowerControl, BootOverride, NetworkBoot, NameService, ImageLibrary, Shell, HostNetworks, Protocol
): ...


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallLinux:
    """`machines` None means all; where the topology gives roles, all that have one, or the one named by `role`, each on
    the disk that its role states. A machine that already runs the image is left alone, whatever `overwrite` says.
    `cloud_init` is for images that carry cloud-init, `ignition` for images that need nothing: of its configs the later
    ones count more. `secrets` wait until a machine has proven which one it is. Whether an image is written or an
    installer is run, is said by what `image` names."""

    image: str
    disk: DiskPolicy = field(default_factory=SmallestDisk)
    overwrite: Overwrite = Overwrite.BLANK_ONLY
    machines: tuple[str, ...] | None = None
    role: str | None = None
    cloud_init: CloudInit = field(default_factory=CloudInit)
    ignition: tuple[Config, ...] = ()
    secrets: tuple[SeedSecret, ...] = ()
    name: str = field(default=NAME, init=False)

    def plan(self, site: InstallNeeds, inventory: Inventory) -> Plan:
        image = self._image(site, inventory)
        everyone = [inventory.record(name) for name in self._targets(site)]
        records = [record for record in everyone if self._is_meant(record, inventory)]
        wanting = [record for record in records if not _is_confirmed(record, image)]
        waiting = {record.name: why for record in wanting if (why := _waits(site, record, image))}
        ready = [record for record in wanting if record.name not in waiting]
        return Plan(
            site=self.name,
            steps=tuple(step for record in ready for step in self._steps(site, record, image, inventory)),
            deferred=tuple(Deferred(score=self.name, reason=f"{name}: {why}") for name, why in waiting.items()),
            missing=tuple(sentence for record in records for sentence in _outdated(site, record, image)),
        )

    def _image(self, site: InstallNeeds, inventory: Inventory) -> OsRef:
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

    def _steps(self, site: InstallNeeds, record: MachineRecord, image: OsRef, inventory: Inventory) -> tuple[Step, ...]:
        if record.facts is None:
            return ()
        confirm = _confirm(site, record.name, record.facts)
        if record.installed is not None and record.installed.image == image:
            return chain(self.name, record.name, (confirm,))
        policy, overwrite = inventory.disks.get(record.role, (self.disk, self.overwrite))
        disk = _disk(record.name, record.facts, image, policy, overwrite)
        network = _network(site, record.name, record.facts)
        if network is not None and self.cloud_init.network_config:
            raise _two_networks(record.name)
        if network is not None and (self.ignition or isinstance(image, InstallerRef)):
            raise _no_network(record.name, "Ignition" if self.ignition else image.name)
        way = self._way(site, record.name, image, disk, inventory, network)
        return chain(self.name, record.name, (*way, confirm))

    def _way(
        self,
        site: InstallNeeds,
        name: MachineName,
        image: OsRef,
        disk: Disk,
        inventory: Inventory,
        network: MachineNetwork | None,
    ) -> tuple[Move, ...]:
        match image:
            case ImageRef() if self.ignition:
                return self._by_ignition(site, name, image, disk, inventory)
            case ImageRef():
                return self._by_image(site, name, image, disk, network)
            case InstallerRef():
                return self._by_installer(site, name, image, disk)
            case _:
                assert_never(image)

    def _by_installer(
        self, site: InstallNeeds, name: MachineName, installer: InstallerRef, disk: Disk
    ) -> tuple[Move, ...]:
        if self.cloud_init.documents or self.ignition:
            what = "Ignition can configure" if self.ignition else "carries cloud-init"
            raise PlanError(
                f"{self.name}: {installer.name} is no image that {what}",
                next_action="take cloud_init and ignition out of the score, or install an image",
            )
        ref = DiskRef.of(disk)
        run = RunInstaller(
            installer=installer, disk=ref, hostname=name, domain=site.domain, authorized_keys=_keys(site)
        )
        holds = f"disk {describe(disk)} of {name}, which now holds: {disk.contents}"
        boot = BootDisk(disk=ref, image=installer, by_itself=True)
        return (
            Move(do=run, summary=f"install {installer.name} on {holds}", budget=INSTALL_SECONDS),
            Move(do=boot, summary=f"boot {name} from its disk", budget=BOOT_SECONDS),
        )

    def _by_ignition(
        self, site: InstallNeeds, name: MachineName, image: ImageRef, disk: Disk, inventory: Inventory
    ) -> tuple[Move, ...]:
        """The image, then Ignition on it, before it starts for the first time."""
        if self.cloud_init.documents:
            raise PlanError(
                f"{self.name}: both cloud_init and ignition are given",
                evidence="the seed of cloud-init is not written where Ignition configures the machine",
                next_action="give one of the two",
            )
        ref = DiskRef.of(disk)
        run = RunInstaller(
            installer=_engine(inventory),
            disk=ref,
            hostname=name,
            domain=site.domain,
            authorized_keys=_keys(site),
            configs=tuple(ConfigRef(sha256=config.sha256, summary=config.summary) for config in self.ignition),
        )
        about = ", then ".join(f"{one.summary} ({one.sha256[:8]})" for one in run.configs)
        configure = f"configure {name} by Ignition on disk {describe(disk)}, with {about}"
        boot = BootDisk(disk=ref, image=image, by_itself=True)
        return (
            *self._written(name, image, disk),
            Move(do=run, summary=configure, budget=IGNITION_SECONDS),
            Move(do=boot, summary=f"boot {name} from its disk", budget=BOOT_SECONDS),
        )

    def _written(self, name: MachineName, image: ImageRef, disk: Disk) -> tuple[Move, ...]:
        summary = f"write {image.name} to disk {describe(disk)} of {name}, which now holds: {disk.contents}"
        write = Move(do=WriteImage(image=image, disk=DiskRef.of(disk)), summary=summary, budget=WRITE_SECONDS)
        return boot_agent(name), write

    def _by_image(
        self, site: InstallNeeds, name: MachineName, image: ImageRef, disk: Disk, network: MachineNetwork | None
    ) -> tuple[Move, ...]:
        ref, documents = DiskRef.of(disk), self.cloud_init.documents
        seed = WriteSeed(
            disk=ref,
            hostname=name,
            domain=site.domain,
            authorized_keys=_keys(site),
            cloud_init=documents,
            network=network,
            secrets=self.secrets,
        )
        also = f"{', and data for cloud-init' if documents else ''}{_says(network)}"
        also += f", and {len(self.secrets)} secrets once it has proven itself" if self.secrets else ""
        return (
            *self._written(name, image, disk),
            Move(do=seed, summary=f"write host name, keys and network of {name}{also}", budget=SEED_SECONDS),
            Move(do=BootDisk(disk=ref, image=image), summary=f"boot {name} from its disk", budget=BOOT_SECONDS),
        )


def _disk(name: MachineName, facts: HardwareFacts, image: OsRef, policy: DiskPolicy, overwrite: Overwrite) -> Disk:
    try:
        return choose_disk(facts, policy, image.raw_bytes, overwrite)
    except PlanError as error:
        told = f"{name}: {error}"
        raise PlanError(told, evidence=error.evidence, next_action=error.next_action, machine=name) from error


def _waits(site: InstallNeeds, record: MachineRecord, image: OsRef) -> str:
    """What has to be known before it can be planned; "" for nothing."""
    if record.facts is None:
        return "its hardware is not known yet; Discover must run first"
    stated = site.network_of(record.name)
    is_written = record.installed is not None and record.installed.image == image
    if stated is not None and stated.asks_switches and not record.facts.neighbours and not is_written:
        return "no switch was heard yet, and its network names ports by switch; LLDP is sent every 30 s: plan again"
    return ""


def _network(site: InstallNeeds, name: MachineName, facts: HardwareFacts) -> MachineNetwork | None:
    stated = site.network_of(name)
    if stated is None:
        return None
    networks, boot_mac = site.boot_network.networks, site.boot_mac_of(name)
    return resolved(stated, Seen(machine=name, facts=facts, boot_mac=boot_mac, boot_networks=networks))


def _says(network: MachineNetwork | None) -> str:
    return "" if network is None else f": {described(network)}"


def _two_networks(name: MachineName) -> PlanError:
    return PlanError(
        f"{name}: two networks are stated for it",
        evidence="Server(network=...) in the topology, and network_config of cloud_init in the score",
        next_action="keep one of them",
        machine=name,
    )


def _no_network(name: MachineName, way: str) -> PlanError:
    return PlanError(
        f"{name}: {way} is not told of the network that is stated for it",
        evidence="Server(network=...) in the topology",
        next_action="install an image without Ignition, or take the network out of the topology",
        machine=name,
    )


def _outdated(site: InstallNeeds, record: MachineRecord, image: OsRef) -> tuple[str, ...]:
    """A machine that was installed with another network keeps that until it is installed again."""
    if record.facts is None or not _is_confirmed(record, image) or record.installed is None:
        return ()
    try:
        wanted = _network(site, record.name, record.facts)
    except PlanError as error:
        return (f"{error}; {error.evidence}",)
    if wanted == record.installed.network:
        return ()
    has, shall = (_says(network) or ": DHCP on every port" for network in (record.installed.network, wanted))
    return (f"{record.name} has the network it was installed with{has}; reinstalling it makes that{shall}",)


def _engine(inventory: Inventory) -> InstallerRef:
    if inventory.ignition is None:
        raise PlanError(
            "the ramdisk with Ignition is not in the artefact store",
            evidence="a score says something to Ignition",
            next_action="build it, then restart the daemon: ./run image ignition",
        )
    return inventory.ignition


def _is_confirmed(record: MachineRecord, image: OsRef) -> bool:
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

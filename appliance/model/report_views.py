"""What is handed over with a site: which machine is what, what was installed on it, what proved it, what failed.

Times are seconds since the epoch, sizes bytes.
"""

from dataclasses import dataclass, field

from appliance.model.views import MachineView, RunSummaryView, SegmentView


@dataclass(frozen=True, slots=True, kw_only=True)
class PortView:
    """A NIC as the agent saw it, with the switch port at its other end; `addresses` as they were then."""

    nic: str
    mac: str
    up: bool
    speed_mbps: int | None = None
    addresses: tuple[str, ...] = ()
    switch: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemView:
    """`firmware` is how it boots (uefi, bios), `firmware_version` what its SMBIOS says with the date, `gaps` what the
    agent failed to read."""

    manufacturer: str = ""
    product: str = ""
    board_serial: str = ""
    firmware: str = ""
    firmware_version: str = ""
    cpu: str = ""
    sockets: int = 0
    threads: int = 0
    gpus: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledView:
    """`sha256` is that of the image, or of the list of files that its installer fetches. `host_keys` as
    `SHA256:...` (ssh-keygen -l). `confirmed`: it was entered by SSH; `smoke_passed`: and its smoke test went well."""

    image: str
    sha256: str
    hostname: str
    address: str
    disk_serial: str = ""
    disk_wwn: str = ""
    addresses: tuple[str, ...] = ()
    host_keys: tuple[str, ...] = ()
    confirmed: bool = False
    smoke_passed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkView:
    """A step that was done for a machine, or not: `problem` is why, `next_action` what to do about it."""

    run: str
    summary: str
    state: str
    kind: str
    started: float
    ended: float | None = None
    problem: str = ""
    next_action: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver:
    """`system` is None before its hardware was looked at, `installed` where nothing of ours runs on it. `work`: the
    latest steps, oldest first."""

    machine: MachineView
    system: SystemView | None = None
    ports: tuple[PortView, ...] = ()
    installed: InstalledView | None = None
    work: tuple[WorkView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportView:
    """`wanted` is the filter, "" for the whole site; `version` that of the appliance. `runs` are those that had one of
    the machines, the latest first."""

    site: str
    made: float
    version: str
    wanted: str = ""
    machines: tuple[HandedOver, ...] = ()
    runs: tuple[RunSummaryView, ...] = ()
    segment: tuple[SegmentView, ...] = field(default=())

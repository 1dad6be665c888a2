"""The boot networks and their addresses, as the API says them. Times are seconds since the epoch."""

from dataclasses import dataclass, field

from appliance.model.views import SegmentView
from appliance.model.words import AddressState as AddressState


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """A network in which the appliance answers DHCP. `device` is its own, "" behind a relay. `mode` is full or proxy:
    in the latter another server gives out the addresses, and the pool is empty. `used` counts pool addresses that
    nobody else can have now, of `size`; `reserved` those that the site program promises to machines, in it or not."""

    network: str
    mode: str
    device: str
    address: str
    router: str = ""
    domain: str = ""
    first: str = ""
    last: str = ""
    lease_seconds: int = 0
    size: int = 0
    used: int = 0
    declined: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RivalView:
    """A DHCP server that is not ours; `here` while it is still heard."""

    server: str
    text: str
    since: float
    heard: float
    here: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworksView:
    """`serves` is false while we stand back for another server. `rivals` since the daemon began, latest last."""

    networks: tuple[NetworkView, ...]
    serves: bool = True
    troubles: tuple[SegmentView, ...] = ()
    rivals: tuple[RivalView, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """An address that is, was or will be somebody's. `machine` is the site's name for whoever has it, "" for strangers;
    `hostname` what was given with the lease. `until` is None for ever, and where there is no lease."""

    address: str
    network: str
    state: AddressState
    mac: str
    machine: str = ""
    hostname: str = ""
    reserved: bool = False
    until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasesView:
    """In the order of their addresses. `total` counts all that fit, `next` is the cursor of the next page or ""."""

    leases: tuple[LeaseView, ...]
    total: int
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleView:
    """Bytes sent since the daemon began, and the pool addresses in use, by network."""

    time: float
    http_bytes: int
    tftp_bytes: int
    used: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryView:
    """The latest samples, oldest first, about `step` seconds apart."""

    step: float
    samples: tuple[SampleView, ...] = ()

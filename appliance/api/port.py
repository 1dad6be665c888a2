"""What the REST API needs of the appliance; the daemon's application implements it, a fake serves the tests.

Every method raises `InnervateError`; the API turns its `code` into a status and a problem document.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from appliance.api.common import Measuring, Steering
from appliance.bmc.vault import Entry
from appliance.metrics.model import Family
from appliance.model.bmc_views import BmcSearchRequest, BmcsView, BmcView, VaultScope, VaultView
from appliance.model.ids import MachineName
from appliance.model.leaving_views import LeaveRequest, LeaveView, ResetRequest, ResetView
from appliance.model.set_views import SetImportRequest, SetsView
from appliance.model.site_services import RegistryPlace
from appliance.model.upgrade_views import ApplianceView
from appliance.model.views import (
    MachinesView,
    ShellView,
    SnapshotView,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Honoured:
    """What came of a request that counts once is shown by a GET of `location`."""

    print: str
    location: str
    status: int


class Bmcs(Measuring, Protocol):
    def search(self, request: BmcSearchRequest) -> BmcsView:
        """Starts it; `bmcs` shows what came of it. `ConflictError` when one is under way."""
        ...

    def bmcs(self) -> BmcsView: ...

    async def rotate(self, url: str) -> BmcView: ...

    async def forgive(self, url: str) -> BmcView: ...

    async def forget(self, url: str) -> BmcView: ...

    def vault(self) -> VaultView: ...

    def add_entry(self, entry: Entry) -> VaultView: ...

    def add_defaults(self) -> VaultView: ...

    def remove_entry(self, scope: VaultScope, value: str, user: str) -> VaultView: ...


class Leaving(Protocol):
    """Both want the site's name, typed, and no run under way: else `UsageError`, `ConflictError`."""

    async def leave(self, request: LeaveRequest) -> LeaveView: ...

    async def reset(self, request: ResetRequest) -> ResetView:
        """Begins it."""
        ...


class Sets(Protocol):
    """Every method raises `NotFoundError` where the site has no registry. What is begun is shown by `sets`;
    `ConflictError` while another set is worked on."""

    @property
    def place(self) -> RegistryPlace | None:
        """None where there is none."""
        ...

    def sets(self) -> SetsView: ...

    def begin_import(self, request: SetImportRequest, by: str) -> SetsView: ...

    def begin_check(self, name: str) -> SetsView: ...

    def begin_removal(self, name: str, by: str) -> SetsView: ...


class Upgrades(Protocol):
    """Every method raises `NotFoundError` where the daemon runs on no appliance image."""

    def appliance(self) -> ApplianceView: ...

    async def upgrade(self, pieces: AsyncIterator[bytes]) -> ApplianceView:
        """Takes a bundle and orders the upgrade. `UsageError` for one that is not sound, `ConflictError` while another
        is under way."""
        ...

    async def rollback(self) -> ApplianceView: ...


class Application(Steering, Protocol):
    """What only the API needs, and all that it shares with the pages."""

    @property
    def upgrade_desk(self) -> Upgrades: ...

    @property
    def sets(self) -> Sets: ...

    @property
    def bmc_desk(self) -> Bmcs: ...

    @property
    def leaving_desk(self) -> Leaving: ...

    def honoured(self, key: str) -> Honoured | None:
        """None where nothing is known to have come of it."""
        ...

    def metrics(self) -> tuple[Family, ...]: ...

    def take_over(self) -> MachinesView:
        """Asks the boot network again who serves DHCP; `ConflictError` when we do."""
        ...

    async def snapshot(self) -> SnapshotView:
        """Copies the record log on the daemon's own disk, for a backup."""
        ...

    async def shell(self, name: MachineName) -> ShellView: ...

"""BMCs and a vault in memory."""

from dataclasses import dataclass, field, replace
from typing import TypeVar

from appliance.bmc.vault import Entry, factory_defaults
from appliance.errors import NotFoundError
from appliance.model.bmc_views import (
    BmcSearchRequest,
    BmcsView,
    BmcView,
    LoginState,
    SensorsView,
    VaultEntryView,
    VaultScope,
    VaultView,
)
from appliance.model.ids import MachineName

T = TypeVar("T")


@dataclass(kw_only=True)
class FakeBmcs:
    """A search is over when it is looked at for the second time."""

    known: dict[str, BmcView] = field(default_factory=dict)
    asked: list[BmcSearchRequest] = field(default_factory=list)
    measured: dict[str, SensorsView] = field(default_factory=dict)
    screens: dict[str, bytes] = field(default_factory=dict)
    forgiven: list[str] = field(default_factory=list)
    kept: dict[tuple[VaultScope, str, str], Entry] = field(default_factory=dict)
    _looks: int = 0

    def search(self, request: BmcSearchRequest) -> BmcsView:
        self.asked.append(request)
        self._looks = 1
        return self.bmcs()

    def bmcs(self) -> BmcsView:
        self._looks -= 1
        return BmcsView(searching=self._looks >= 0, bmcs=tuple(self.known.values()))

    async def rotate(self, url: str) -> BmcView:
        self.known[url] = replace(find(self.known, url, "BMC"), login=LoginState.WORKS, must_change=False)
        return self.known[url]

    async def forgive(self, url: str) -> BmcView:
        self.forgiven.append(url)
        return find(self.known, url, "BMC")

    async def forget(self, url: str) -> BmcView:
        return find(self.known, url, "BMC")

    async def sensors(self, machine: MachineName) -> SensorsView:
        return find(self.measured, machine, "machine with sensors")

    async def screen(self, machine: MachineName) -> bytes:
        return find(self.screens, machine, "machine with a screen")

    def vault(self) -> VaultView:
        entries = (
            VaultEntryView(scope=kept.scope, value=kept.value, user=kept.user, priority=kept.priority)
            for kept in self.kept.values()
        )
        return VaultView(entries=tuple(entries))

    def add_entry(self, entry: Entry) -> VaultView:
        self.kept[entry.scope, entry.value, entry.user] = entry
        return self.vault()

    def add_defaults(self) -> VaultView:
        for entry in factory_defaults():
            self.add_entry(entry)
        return self.vault()

    def remove_entry(self, scope: VaultScope, value: str, user: str) -> VaultView:
        if self.kept.pop((scope, value, user), None) is None:
            raise NotFoundError("the vault has no such entry", next_action="list its entries")
        return self.vault()


def find(table: dict[str, T], key: str, what: str) -> T:
    try:
        return table[key]
    except KeyError:
        raise NotFoundError(
            f"no {what} is called {key[:70]}", evidence=f"{len(table)} known", next_action="list what there is"
        ) from None

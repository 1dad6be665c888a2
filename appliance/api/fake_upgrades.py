"""Two slots in memory for tests of the API and its clients."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

from appliance.errors import UsageError
from appliance.model.upgrade_views import ApplianceView, SlotView, Stage

SLOTS = (
    SlotView(slot="a", running=True, good=True, version="0.1.0", build="0123456789ab"),
    SlotView(slot="b", running=False, good=False, version="0.0.9", build="ba9876543210"),
)


@dataclass(kw_only=True)
class FakeUpgrades:
    """A bundle is sound if it begins with INNERVATE."""

    view: ApplianceView = field(default_factory=lambda: ApplianceView(slots=SLOTS))
    received: bytes = b""

    def appliance(self) -> ApplianceView:
        return self.view

    async def upgrade(self, pieces: AsyncIterator[bytes]) -> ApplianceView:
        self.received = b"".join([piece async for piece in pieces])
        if not self.received.startswith(b"INNERVATE"):
            raise UsageError("this is not a bundle of Innervate", next_action="name an upgrade bundle")
        self.view = replace(self.view, stage=Stage.ASKED)
        return self.view

    async def rollback(self) -> ApplianceView:
        self.view = replace(self.view, stage=Stage.ASKED)
        return self.view

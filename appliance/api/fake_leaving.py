"""An end in memory: the site is called lab."""

from dataclasses import dataclass, field

from appliance.errors import UsageError
from appliance.model.leaving_views import Erasure, LeaveRequest, LeaveView, LeftBmcView, ResetRequest, ResetView


@dataclass(kw_only=True)
class FakeLeaving:
    bmcs: tuple[LeftBmcView, ...] = ()
    hand_over: str = "c2VhbGVk"
    keys: tuple[str, ...] = ()
    erases: Erasure = Erasure.FOLDER
    left: list[LeaveRequest] = field(default_factory=list)
    erased: int = 0

    async def leave(self, request: LeaveRequest) -> LeaveView:
        _confirm(request.site)
        self.left.append(request)
        return LeaveView(bmcs=self.bmcs, hand_over=self.hand_over, keys=self.keys)

    async def reset(self, request: ResetRequest) -> ResetView:
        _confirm(request.site)
        self.erased += 1
        return ResetView(erases=self.erases)


def _confirm(site: str) -> None:
    if site != "lab":
        raise UsageError("that is another site", next_action="type lab")

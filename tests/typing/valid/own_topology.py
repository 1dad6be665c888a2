"""A topology of one's own is accepted where it offers what the scores need, and no more."""

from appliance.model.ids import MachineName
from appliance.model.site import ShellAccess
from appliance.scores.smoke_test import SmokeTest
from appliance.site import Site


class Cloud:
    @property
    def machines(self) -> tuple[MachineName, ...]:
        return ()

    @property
    def shell(self) -> ShellAccess:
        return ShellAccess()


site = Site(name="cloud", topology=Cloud(), scores=[SmokeTest()])

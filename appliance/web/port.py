"""What the pages need beside the application: the doors."""

from typing import Protocol

from appliance.access.audit import AuditLog
from appliance.access.desk import Desk


class Doors(Protocol):
    """Who comes in and who may what, and the log of it: the API's own, so that each decision has one home."""

    @property
    def desk(self) -> Desk: ...

    @property
    def audit(self) -> AuditLog: ...

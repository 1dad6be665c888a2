"""What a disk can hold that is not ours: another operating system, which boots, and which nobody may lose unasked."""

import hashlib
from uuid import UUID

from appliance.sim.disk import PAGE, Pages, paged
from appliance.sim.partitioning import LINUX, Part, table_head


def foreign_system(number: int) -> Pages:
    """Another one for each number."""
    mark = hashlib.sha256(f"foreign {number}".encode()).digest()
    head = table_head(UUID(bytes=mark[:16]), (Part(number=1, start=4096, size=4096, type=LINUX, name="other"),))
    return dict(paged(0, head.ljust(8 * PAGE, b"\0") + mark * (PAGE // 32), {}).data)

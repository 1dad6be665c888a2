"""How much memory a machine uses, as its balloon driver tells QEMU (virtio 1.3, 5.5.6.4)."""

import socket
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from appliance.lab.qmp import Qmp, QmpMessage, QmpValue

_EACH_SECONDS = 2


def options(control: Path) -> tuple[str, ...]:
    """For QEMU: the balloon, and where it is asked."""
    return ("-device", "virtio-balloon-pci,id=balloon", "-qmp", f"unix:{control},server=on,wait=off")


def used(control: Path, most: int, seconds: float) -> int:
    """Bytes of the system's memory that are not available, as free(1) counts: without what the kernel keeps for itself.

    Once they are no more than `most`; after `seconds`, however many they are.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(control))
    balloon: QmpMessage = {"path": "/machine/peripheral/balloon"}
    pace, deadline, taken = threading.Event(), time.monotonic() + seconds, sys.maxsize
    with closing(Qmp(connection, lambda _event: None)) as qmp:
        every: QmpMessage = {"property": "guest-stats-polling-interval", "value": _EACH_SECONDS}
        qmp.execute("qom-set", balloon | every)
        while taken > most and time.monotonic() < deadline:
            pace.wait(_EACH_SECONDS)
            taken = _taken(qmp.execute("qom-get", balloon | {"property": "guest-stats"}))
    return taken


def _taken(stats: QmpValue) -> int:
    match stats:
        case {
            "last-update": int(at),
            "stats": {"stat-total-memory": int(total), "stat-available-memory": int(available)},
        } if at:
            return total - available
        case _:
            return sys.maxsize  # nothing was told yet

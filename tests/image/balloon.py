"""How much memory a machine uses, as its balloon driver tells QEMU (virtio 1.3, 5.5.6.4)."""

import socket
import threading
import time
from contextlib import closing
from pathlib import Path

from appliance.lab.qmp import Qmp, QmpMessage, QmpValue

_EACH_SECONDS = 2


def options(control: Path) -> tuple[str, ...]:
    """For QEMU: the balloon, and where it is asked."""
    return ("-device", "virtio-balloon-pci,id=balloon", "-qmp", f"unix:{control},server=on,wait=off")


def used(control: Path, given: int, most: int, seconds: float) -> int:
    """Of `given` bytes what is not available, once that is no more than `most`; after `seconds`, whatever it is."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(control))
    balloon: QmpMessage = {"path": "/machine/peripheral/balloon"}
    pace, deadline, taken = threading.Event(), time.monotonic() + seconds, given
    with closing(Qmp(connection, lambda _event: None)) as qmp:
        every: QmpMessage = {"property": "guest-stats-polling-interval", "value": _EACH_SECONDS}
        qmp.execute("qom-set", balloon | every)
        while taken > most and time.monotonic() < deadline:
            pace.wait(_EACH_SECONDS)
            taken = given - _available(qmp.execute("qom-get", balloon | {"property": "guest-stats"}))
    return taken


def _available(stats: QmpValue) -> int:
    match stats:
        case {"last-update": int(at), "stats": {"stat-available-memory": int(available)}} if at:
            return available
        case _:
            return 0

"""A machine of the rack, with its power button and its boot order."""

import contextlib
import os
import shutil
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import TypeVar

from appliance.errors import MachineryError
from appliance.lab import qemu
from appliance.lab.qmp import Qmp
from appliance.lab.spec import Accelerator, BootDevice, NodeSpec
from appliance.lab.tpm import Swtpm

T = TypeVar("T")

_START_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BootOverride:
    device: BootDevice
    once: bool


class Machine:
    """Everything that touches QEMU happens on one thread, for two reasons: it makes each operation atomic, and
    QEMU is told to die with the thread that started it (PR_SET_PDEATHSIG looks at the thread, not the process).
    """

    def __init__(self, node: NodeSpec, accelerator: Accelerator) -> None:
        self.node = node
        self._accelerator = accelerator
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="machine")
        self._process: Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._tpm = Swtpm(node)
        self._override: BootOverride | None = None
        self._medium: Path | None = None
        self.on_event: Callable[[str], None] = _unheard
        """Called with the name of each event of QEMU, on a thread of its own."""

    @property
    def is_on(self) -> bool:
        return self._do(self._running)

    @property
    def override(self) -> BootOverride | None:
        return self._do(lambda: self._override)

    def set_override(self, override: BootOverride | None) -> None:
        """Acts from the next power-on or reset; a once-override is gone after that."""
        self._do(lambda: self._set_override(override))

    def on(self) -> None:
        self._do(self._on)

    def off(self) -> None:
        self._do(self._off)

    def cycle(self) -> None:
        self._do(self._cycle)

    def reset(self) -> None:
        """Powers on a machine that is off."""
        self._do(lambda: self._execute("system_reset") if self._running() else self._on())

    def press_power_button(self) -> None:
        """ACPI: an operating system may shut down, firmware ignores it."""
        self._do(lambda: self._execute("system_powerdown") if self._running() else None)

    def inject_nmi(self) -> None:
        self._do(lambda: self._execute("inject-nmi") if self._running() else None)

    def load(self, medium: Path | None) -> None:
        """Puts an image into the virtual drive, or empties it."""
        self._do(lambda: self._load(medium))

    def screen(self) -> bytes:
        """A PNG of what the machine shows, for one that is on and has a screen."""
        return self._do(self._screen)

    def _do(self, action: Callable[[], T]) -> T:
        return self._thread.submit(action).result()

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _on(self) -> None:
        if self._running():
            return
        self._prepare()
        if self.node.has_tpm:
            self._tpm.on(self._log)
        with _listener(self.node.qmp_socket) as listener:
            self._process = self._start()
            try:
                self._qmp = Qmp(_accept(listener, self._process), self._on_event)
            except MachineryError as error:
                self._off()
                tail = self._log.read_text(errors="replace")[-500:]
                raise MachineryError("QEMU did not start", evidence=tail, next_action=f"read {self._log}") from error
        self._boot_happened()

    def _off(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._qmp is not None:
            self._qmp.close()
        self._tpm.off()
        self._process = self._qmp = None

    def _cycle(self) -> None:
        self._off()
        self._on()

    @property
    def _log(self) -> Path:
        return self.node.folder / "qemu.log"

    def _prepare(self) -> None:
        """A disk and an NVRAM that are there already are kept: they are the machine's memory."""
        self._off()
        node = self.node
        if not node.disk.exists():
            with node.disk.open("wb") as disk:
                disk.truncate(node.disk_gib << 30)
        if node.files is not None and not node.nvram.exists():
            shutil.copyfile(node.files.ovmf_vars, node.nvram)

    def _start(self) -> Popen[bytes]:
        argv = qemu.argv(self.node, self._accelerator, self._order(), self._medium)
        with self._log.open("ab") as log:
            return Popen(["setpriv", "--pdeathsig", "KILL", "--", *argv], stdin=DEVNULL, stdout=log, stderr=log)

    def _order(self) -> tuple[BootDevice, ...]:
        first = (self._override.device,) if self._override else ()
        return (*first, *(device for device in BootDevice if device not in first))

    def _set_override(self, override: BootOverride | None) -> None:
        self._override = override
        if self._running():
            self._apply_order()

    def _apply_order(self) -> None:
        """QEMU writes the boot order for the firmware at start and at each reset: a change acts from the next one.

        Two devices never share a bootindex, so all give theirs up first.
        """
        for device in BootDevice:
            self._set_bootindex(device, -1)
        for place, device in enumerate(self._order(), start=1):
            self._set_bootindex(device, place)

    def _set_bootindex(self, device: BootDevice, place: int) -> None:
        path = f"/machine/peripheral/{device.value}"
        self._execute("qom-set", {"path": path, "property": "bootindex", "value": place})

    def _load(self, medium: Path | None) -> None:
        drive: dict[str, str | int] = {"id": BootDevice.CD.value}
        if self._running() and medium is None:
            self._execute("eject", {**drive, "force": True})
        elif self._running():
            self._execute("blockdev-change-medium", {**drive, "filename": str(medium), "format": "raw"})
        self._medium = medium

    def _screen(self) -> bytes:
        file = self.node.folder / "screen.png"
        try:
            self._execute("screendump", {"filename": str(file), "format": "png"})
            return file.read_bytes()
        finally:
            file.unlink(missing_ok=True)

    def _execute(self, command: str, arguments: dict[str, str | int] | None = None) -> None:
        if self._qmp is None:
            raise MachineryError(f"{self.node.name} is off")
        self._qmp.execute(command, {**(arguments or {})})

    def _on_event(self, event: str) -> None:
        self.on_event(event)
        if event == "RESET":
            self._thread.submit(self._boot_happened)

    def _boot_happened(self) -> None:
        if self._override is not None and self._override.once and self._running():
            self._set_override(None)


def _unheard(_event: str) -> None:
    pass


def _listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(os.fspath(path))
    listener.listen(1)
    listener.settimeout(0.1)
    return listener


def _accept(listener: socket.socket, process: Popen[bytes]) -> socket.socket:
    for _ in range(int(_START_SECONDS / 0.1)):
        with contextlib.suppress(TimeoutError):
            return listener.accept()[0]
        if process.poll() is not None:
            break
    raise MachineryError("QEMU does not connect to its QMP socket")

"""NVMe controllers through nvme-cli: what they can, format and sanitize. NVM Express Base Specification 2.0."""

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import assert_never

from .disks import plain
from .errors import AgentError, ProtocolError, TaskError
from .fields import Fields, parse_json
from .methods import Controller
from .ports import Clock, Ports, Processes
from .tools import run_tool

_IDENTIFY = 4096
_ONE_NAMESPACE_MAX = 1
_NAMESPACE_MANAGEMENT = 0x8  # OACS bit 3
_FORMAT = 0x2  # OACS bit 1
_SHARED_FORMAT = 0x3  # FNA bits 0 and 1: format, and secure erase, of one namespace are of all
_BLOCK_ERASE = 0x2  # SANICAP bit 1
_MANY_CONTROLLERS = 0x2  # CMIC bit 1
_FORMAT_WITHIN = 3600.0
_PAUSE = 5.0
_STALLED = 3600.0  # seconds without any progress of a sanitize


class SanitizeState(IntEnum):
    """SSTAT bits 2:0 of the Sanitize Status log page."""

    NEVER = 0
    DONE = 1
    RUNNING = 2
    FAILED = 3
    DONE_DEALLOCATED = 4


def read_controller(processes: Processes, path: str) -> tuple[Controller, bool]:
    """Of the disk at `path`, and whether that is its subsystem's only namespace. Raises AgentError or OSError."""
    raw = run_tool(processes, "nvme", "id-ctrl", "--raw-binary", path)
    return parse_controller(raw), _is_alone(processes, path, raw)


def parse_controller(raw: bytes) -> Controller:
    """Identify Controller data structure (figure 275); raises ProtocolError."""
    if len(raw) != _IDENTIFY:
        raise ProtocolError("not an Identify Controller data structure", evidence=f"{len(raw)} bytes")
    oacs, sanicap, fna = _number(raw, 256, "<H"), _number(raw, 328, "<I"), raw[524]
    return Controller(
        serial=plain(raw[4:24].decode("ascii", "replace")),
        formats=bool(oacs & _FORMAT),
        format_is_shared=bool(fna & _SHARED_FORMAT),
        block_erases=bool(sanicap & _BLOCK_ERASE),
    )


def _is_alone(processes: Processes, path: str, raw: bytes) -> bool:
    """False also where it cannot be known: other controllers may hold namespaces that this one does not list."""
    if _number(raw, 516, "<I") == _ONE_NAMESPACE_MAX:
        return True
    managed = _number(raw, 256, "<H") & _NAMESPACE_MANAGEMENT
    if not managed and raw[76] & _MANY_CONTROLLERS:
        return False
    every = ("--all",) if managed else ()
    return count_namespaces(run_tool(processes, "nvme", "list-ns", "--output-format=json", *every, path)) == 1


def count_namespaces(output: bytes) -> int:
    """The output of `nvme list-ns --output-format=json`; raises ProtocolError."""
    return len(Fields(parse_json(output, limit=1 << 20), "list-ns").children("nsid_list", count=4096))


def _number(raw: bytes, at: int, form: str) -> int:
    return int(struct.unpack_from(form, raw, at)[0])


def format_namespace(processes: Processes, path: str) -> None:
    """User data erase, and the block size stays. `--force`: nvme-cli waits for no Ctrl-C, and we hold the disk open."""
    timeout = f"--timeout={_FORMAT_WITHIN * 1000:.0f}"
    run_tool(processes, "nvme", "format", "--ses=1", "--force", timeout, path, timeout=_FORMAT_WITHIN + 60)


def sanitize(ports: Ports, path: str, progress: Callable[[float], None]) -> None:
    """Block erase. It survives resets and power cuts; a failed one may be left by any further command (AUSE)."""
    run_tool(ports.processes, "nvme", "sanitize", "--sanact=2", "--ause", path)
    _wait(ports, path, progress)


def finish_sanitize(ports: Ports, path: str, progress: Callable[[float], None]) -> bool:
    """Waits for a sanitize that a power cut did not stop: until then nothing can be read. False if none is known."""
    try:
        state, _ = _look(ports.processes, path)
    except (AgentError, OSError):
        return False  # then the disk's contents have the say
    if state is not SanitizeState.RUNNING:
        return False
    _wait(ports, path, progress)
    return True


def _wait(ports: Ports, path: str, progress: Callable[[float], None]) -> None:
    watch = _Watch(ports.clock)
    while True:
        ports.clock.sleep(_PAUSE)
        try:
            state, fraction = _look(ports.processes, path)
        except (AgentError, OSError) as error:
            watch.nothing(str(error))
            continue
        match state:
            case SanitizeState.DONE | SanitizeState.DONE_DEALLOCATED:
                return
            case SanitizeState.RUNNING:
                progress(fraction)
                watch.seen(fraction)
            case SanitizeState.FAILED | SanitizeState.NEVER:
                ports.processes.run(("nvme", "sanitize", "--sanact=1", path), timeout=60)
                raise TaskError(f"the sanitize ended as {state.name.lower()}", evidence=path)
            case _:
                assert_never(state)


class _Watch:
    """Gives up on a sanitize whose progress stands still."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._fraction, self._moved = clock, -1.0, clock.monotonic()

    def seen(self, fraction: float) -> None:
        if fraction != self._fraction:
            self._fraction, self._moved = fraction, self._clock.monotonic()
        self.nothing(f"at {fraction:.1%}")

    def nothing(self, why: str) -> None:
        if self._clock.monotonic() - self._moved > _STALLED:
            raise TaskError("the sanitize stands still", evidence=why)


def _look(processes: Processes, path: str) -> tuple[SanitizeState, float]:
    return parse_sanitize_log(run_tool(processes, "nvme", "sanitize-log", "--raw-binary", path))


def parse_sanitize_log(raw: bytes) -> tuple[SanitizeState, float]:
    """The state, and how much is done (0 to 1), of a Sanitize Status log page (figure 288); raises ProtocolError."""
    if len(raw) < 4:
        raise ProtocolError("not a Sanitize Status log page", evidence=f"{len(raw)} bytes")
    progress, status = struct.unpack_from("<HH", raw)
    try:
        return SanitizeState(status & 7), progress / 65536
    except ValueError as error:
        raise ProtocolError("a sanitize state that we do not know", evidence=f"SSTAT {status:#06x}") from error

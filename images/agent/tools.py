"""The tools of the ramdisk: run to their end, and a status other than 0 is an error with what they said."""

from .errors import TaskError
from .ports import Processes

_TIMEOUT = 60.0


def run_tool(processes: Processes, *argv: str, stdin: bytes = b"", timeout: float = _TIMEOUT) -> bytes:
    """The output; raises TaskError, or OSError if the tool is missing or takes longer than `timeout` seconds."""
    finished = processes.run(argv, timeout=timeout, stdin=stdin)
    if finished.status != 0:
        evidence = finished.errors[-1000:].decode("utf-8", "replace")
        raise TaskError(f"{argv[0]} ended with status {finished.status}", evidence=evidence)
    return finished.output

"""Does one task, of any kind."""

from collections.abc import Callable
from typing import assert_never

from .errors import AgentError, DiskError
from .partitions import prepare_boot, write_seed
from .ports import Ports
from .protocol import BootDisk, Failure, Inspect, PowerOff, Reboot, Rescue, Task, Wipe, WriteImage, WriteSeed
from .rescue import rescue
from .tally import Tally
from .wipe import wipe
from .writer import write_image

Evidence = dict[str, str | int]


class Work:
    """`inspect` looks at the machine again and hands the facts on; also when a disk is not what the plan says."""

    def __init__(self, ports: Ports, inspect: Callable[[], Evidence]) -> None:
        self._ports, self._inspect = ports, inspect

    def do(self, task: Task, tally: Tally) -> tuple[Evidence, Failure | None]:
        """The evidence, and why it failed if it did. Never raises: a task must not end the agent."""
        try:
            return self._looking_again(task, tally), None
        except AgentError as error:
            return {}, Failure(
                message=str(error)[:4096],
                evidence=error.evidence[:4096],
                next_action=error.next_action[:4096],
            )
        except Exception as error:
            evidence = repr(error)[:4096]
            return {}, Failure(message="the machine refused", evidence=evidence, next_action="See the agent's log.")

    def _looking_again(self, task: Task, tally: Tally) -> Evidence:
        try:
            return self._do(task, tally)
        except DiskError:
            self._inspect()
            raise

    def _do(self, task: Task, tally: Tally) -> Evidence:
        match task:
            case Inspect():
                return self._inspect()
            case WriteImage():
                return write_image(task, self._ports, tally)
            case WriteSeed():
                return write_seed(task, self._ports)
            case BootDisk():
                return prepare_boot(task, self._ports)
            case Wipe():
                return wipe(task, self._ports, tally)
            case Rescue():
                return rescue(task, self._ports)
            case Reboot() | PowerOff():
                return {}  # done by the link, once the server has heard of it
            case _:
                assert_never(task)

"""haproxy's admin socket (management.txt, "Unix Socket commands"). Blocks: call it from a worker thread."""

import socket
from pathlib import Path

from appliance.balancer.state import BackendState, read_states
from appliance.errors import MachineryError, NotFoundError

_SECONDS, _LIMIT = 5.0, 4 << 20


class AdminSocket:
    """Every method raises `MachineryError` where the balancer does not answer."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def states(self) -> tuple[BackendState, ...]:
        return read_states(self.raw_states())

    def raw_states(self) -> str:
        """As a file that a balancer takes at its start."""
        return self._ask("show servers state")

    def process(self) -> int:
        """Of the worker that answers: another one after a reload."""
        for line in self._ask("show info").splitlines():
            name, _, value = line.partition(": ")
            if name == "Pid" and value.isdecimal():
                return int(value)
        raise self._failure("it does not say which process it is")

    def take_out(self, listener: str, backend: str) -> BackendState:
        """Nothing new goes there; connections that it has go on."""
        return self._set(listener, backend, "drain")

    def put_in(self, listener: str, backend: str) -> BackendState:
        return self._set(listener, backend, "ready")

    def _set(self, listener: str, backend: str, state: str) -> BackendState:
        """What is read back is what counts. Raises `NotFoundError`."""
        known = {(one.listener, one.backend) for one in self.states()}
        if (listener, backend) not in known:
            raise NotFoundError(
                f"the balancer has no backend {listener}/{backend}",
                evidence=", ".join(f"{one}/{other}" for one, other in sorted(known))[:300],
                next_action="name one of these",
            )
        said = self._ask(f"set server {listener}/{backend} state {state}").strip()
        found = next(one for one in self.states() if (one.listener, one.backend) == (listener, backend))
        if said or found.out is (state == "ready"):
            raise self._failure(f"{listener}/{backend} did not become {state}: {said}")
        return found

    def _ask(self, command: str) -> str:
        answer = bytearray()
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(_SECONDS)
                link.connect(str(self._path))
                link.sendall(command.encode() + b"\n")
                while piece := link.recv(1 << 16):
                    answer += piece
                    if len(answer) > _LIMIT:
                        raise self._failure(f"it says more than {_LIMIT} bytes")
        except OSError as error:
            raise self._failure(str(error)) from error
        return answer.decode("utf-8", "replace")

    def _failure(self, evidence: str) -> MachineryError:
        return MachineryError(
            "the load balancer does not do as it is told", evidence=evidence[:300], next_action="see: innervate doctor"
        )

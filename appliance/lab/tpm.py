"""The TPM 2.0 of a node: swtpm, in a process beside QEMU. What it remembers stays in the node's folder."""

import os
import socket
from pathlib import Path
from subprocess import DEVNULL, Popen, TimeoutExpired

from appliance.lab.spec import NodeSpec

_STOP_SECONDS = 5.0


class Swtpm:
    """As long as the machine is on: QEMU resets it with the machine, and a power cut ends both."""

    def __init__(self, node: NodeSpec) -> None:
        self._node = node
        self._process: Popen[bytes] | None = None

    def on(self, log: Path) -> None:
        """It can be connected to when this returns: the socket is bound here, and given to it."""
        self.off()
        self._node.tpm_state.mkdir(mode=0o700, exist_ok=True)
        self._node.tpm_socket.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, log.open("ab") as said:
            listener.bind(os.fspath(self._node.tpm_socket))
            listener.listen(1)
            fd = listener.fileno()
            swtpm = ("swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self._node.tpm_state}")
            argv = ("setpriv", "--pdeathsig", "KILL", "--", *swtpm, "--ctrl", f"type=unixio,fd={fd}")
            self._process = Popen(argv, stdin=DEVNULL, stdout=said, stderr=said, pass_fds=(fd,))

    def off(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

"""First process inside a rack's namespaces: `python -m appliance.lab.supervisor <spec.json>`.

Says "ready" on standard output once every BMC answers, and stops on SIGTERM or when its standard input ends.
It is process 1 of its pid namespace: whatever is left when it goes, the kernel kills.
"""

import os
import secrets
import selectors
import signal
import socket
import ssl
import sys
from pathlib import Path
from subprocess import PIPE, Popen, run
from typing import assert_never

from appliance.errors import MachineryError
from appliance.lab.accelerator import choose_accelerator
from appliance.lab.certificate import self_signed
from appliance.lab.spec import (
    BMC_USER,
    Accelerator,
    BmcKind,
    BmcServerSpec,
    NodeSpec,
    RackNode,
    RackSpec,
    RackState,
    network_batch,
    nodes_of,
)
from appliance.model.bmc import BmcEndpoint
from appliance.model.codec import from_json, to_json
from appliance.model.secret import Secret

STATE_FILE = "rack.json"

_ANSWER_SECONDS = 20.0
_LEAVE_SECONDS = 3.0


def main() -> None:
    spec = from_json(RackSpec, Path(sys.argv[1]).read_bytes())
    with _Signals() as signals:
        nodes = nodes_of(spec)
        make_network(nodes)
        accelerator = choose_accelerator(spec.workdir)
        endpoints = [prepare(node, spec.password) for node in nodes]
        servers = [start_bmc(node, accelerator) for node in nodes]
        for node, server in zip(nodes, servers, strict=True):
            await_bmc(node, server)
        racked = tuple(RackNode(spec=node, bmc=bmc) for node, bmc in zip(nodes, endpoints, strict=True))
        write_private(spec.workdir / STATE_FILE, to_json(RackState(accelerator=accelerator, nodes=racked)))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        signals.wait()
        stop(servers)


def make_network(nodes: tuple[NodeSpec, ...]) -> None:
    made = run(["ip", "-batch", "-"], input=network_batch(nodes).encode(), capture_output=True, check=False)
    if made.returncode:
        raise MachineryError("the rack's network cannot be made", evidence=made.stderr.decode(errors="replace")[:500])


def prepare(node: NodeSpec, password: str) -> BmcEndpoint:
    """Gives the BMC a certificate, and a password of its own where it has none."""
    node.folder.mkdir(mode=0o700, exist_ok=True)
    certificate = self_signed(f"{node.name} BMC", node.bmc_address)
    password = password or secrets.token_urlsafe(12)  # IPMI 2.0 has room for 20 bytes
    node.certificate.write_bytes(certificate.certificate)
    write_private(node.key, certificate.key)
    write_private(node.password, password.encode())
    match node.bmc:
        case BmcKind.REDFISH:
            url, fingerprint = f"https://{node.bmc_address}", certificate.fingerprint
        case BmcKind.IPMI:
            url, fingerprint = f"ipmi://{node.bmc_address}", ""
        case _:
            assert_never(node.bmc)
    return BmcEndpoint(url=url, user=BMC_USER, password=Secret(password), fingerprint=fingerprint)


def write_private(path: Path, data: bytes) -> None:
    """Atomic: a reader finds the old file or the whole new one."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    draft.touch(mode=0o600)
    draft.write_bytes(data)
    draft.replace(path)


def start_bmc(node: NodeSpec, accelerator: Accelerator) -> Popen[bytes]:
    file = node.folder / "bmc.json"
    file.write_bytes(to_json(BmcServerSpec(node=node, accelerator=accelerator)))
    with (node.folder / "bmc.log").open("ab") as log:
        return Popen([sys.executable, "-m", "appliance.lab.bmc_server", str(file)], stdout=PIPE, stderr=log)


def await_bmc(node: NodeSpec, server: Popen[bytes]) -> None:
    """The server says when it listens; that it answers is then tried, once."""
    said = server.stdout.readline() if server.stdout else b""
    if not said or (node.bmc is BmcKind.REDFISH and not _service_root(node).startswith(b"HTTP/1.")):
        log = node.folder / "bmc.log"
        tail = log.read_text(errors="replace")[-500:]
        raise MachineryError(f"the BMC of {node.name} does not answer", evidence=tail, next_action=f"read {log}")


def _service_root(node: NodeSpec) -> bytes:
    tls = ssl.create_default_context(cafile=str(node.certificate))
    address = str(node.bmc_address)
    plain = socket.create_connection((address, 443), timeout=_ANSWER_SECONDS)
    with plain, tls.wrap_socket(plain, server_hostname=address) as secure:
        secure.sendall(b"GET /redfish/v1/ HTTP/1.0\r\n\r\n")
        return secure.recv(64)


def stop(servers: list[Popen[bytes]]) -> None:
    for server in servers:
        if server.returncode is None:
            server.terminate()
    signal.alarm(int(_LEAVE_SECONDS))
    for server in servers:
        server.wait()


class _Signals:
    """Process 1 must reap every orphan of its namespace, and ignores signals it has no handler for."""

    def __enter__(self) -> "_Signals":
        self._reader, writer = socket.socketpair()
        self._writer = writer
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        signal.signal(signal.SIGTERM, lambda *_: None)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGALRM, lambda *_: os._exit(1))
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        self._reader.close()
        self._writer.close()

    def wait(self) -> None:
        """Returns on SIGTERM or at the end of standard input."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._reader, selectors.EVENT_READ)
            selector.register(sys.stdin, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if sys.stdin in ready:
                    return
                if signal.SIGTERM in self._reader.recv(64):
                    return
                _reap()


def _reap() -> None:
    """Takes every child that has ended; `Popen.wait` copes with one that was taken here."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


if __name__ == "__main__":
    main()

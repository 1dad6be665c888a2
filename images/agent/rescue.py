"""A way in for an operator whose machine's disk is broken: dropbear in the ramdisk, public keys only, until it reboots.

Looks first and may run twice: the host key stays, the keys are those of the last task.
"""

from .errors import AgentError, TaskError
from .fields import Fields, parse_json
from .keys import check_key
from .ports import Ports, Processes
from .protocol import Rescue
from .tools import run_tool

PORT = 22
AUTHORIZED_KEYS = "/root/.ssh/authorized_keys"
HOST_KEY = "/run/dropbear_ed25519"
_MAX_ADDRESSES = 32
_GREETING_WITHIN = 10.0


def rescue(task: Rescue, ports: Ports) -> dict[str, str | int]:
    """Returns the evidence once the server greets; raises TaskError, ProtocolError or OSError."""
    keys = "".join(f"{check_key(line)}\n" for line in task.authorized_keys)
    ports.files.write_private(AUTHORIZED_KEYS, keys.encode())
    host_key = _ensure_host_key(ports.processes)
    _ensure_server(ports.processes)
    return {
        "user": task.user,
        "port": PORT,
        "host_key": host_key,
        "addresses": _addresses(ports.processes),
        "keys": len(task.authorized_keys),
    }


def _ensure_host_key(processes: Processes) -> str:
    """The public half, as in known_hosts. dropbearkey writes the other one for root's eyes only, and whole."""
    shown = processes.run(("dropbearkey", "-y", "-f", HOST_KEY), timeout=60)
    if shown.status == 0:
        return parse_host_key(shown.output)
    return parse_host_key(run_tool(processes, "dropbearkey", "-t", "ed25519", "-f", HOST_KEY))


def parse_host_key(output: bytes) -> str:
    """From what dropbearkey prints of a key; raises TaskError or ProtocolError."""
    for line in output.decode("ascii", "replace").splitlines():
        if line.startswith("ssh-ed25519 "):
            return check_key(line)
    raise TaskError("dropbearkey shows no host key", evidence=ascii(output[:200]))


def _ensure_server(processes: Processes) -> None:
    """dropbear goes to the background once it listens. -s: no passwords; -j, -k: forwards no ports."""
    if _greeting(processes).startswith(b"SSH-2.0-"):
        return
    run_tool(processes, "dropbear", "-s", "-j", "-k", "-r", HOST_KEY, "-p", str(PORT))
    if not (greeting := _greeting(processes)).startswith(b"SSH-2.0-"):
        raise TaskError("the SSH server does not listen", evidence=ascii(greeting[:200]))


def _greeting(processes: Processes) -> bytes:
    """RFC 4253 section 4.2; empty if nobody listens."""
    try:
        return processes.run(("nc", "-w", "5", "127.0.0.1", str(PORT)), timeout=_GREETING_WITHIN).output
    except TimeoutError:
        return b""


def _addresses(processes: Processes) -> str:
    """Where to find it, joined by spaces; what cannot be read is not known and no reason to fail."""
    try:
        return " ".join(parse_addresses(run_tool(processes, "ip", "-json", "address", "show", "scope", "global")))
    except (AgentError, OSError):
        return ""


def parse_addresses(output: bytes) -> list[str]:
    """The output of `ip -json address`; raises ProtocolError."""
    links = Fields({"links": parse_json(output, limit=1 << 20)}, "ip").children("links")
    found = [info.text("local", limit=64) for link in links if link.has("addr_info") for info in _infos(link)]
    return found[:_MAX_ADDRESSES]


def _infos(link: Fields) -> list[Fields]:
    return [info for info in link.children("addr_info") if info.has("local")]

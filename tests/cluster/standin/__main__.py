# ruff: noqa: T201, S606  people read what it prints
"""STAND-IN for k3s and RKE2: their command line, files and folders; real Kubernetes programs behind them.

server, agent               as the unit runs them
kubectl, etcd-snapshot      as people do
--version                   says STAND-IN
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
import urllib.error
from pathlib import Path
from typing import Any

import certs
import flags
import server as servers
from api import Api
from node import Node
from processes import Children, environment

HERE = Path(__file__).resolve().parent.parent
BINS = HERE / "bin"
_EVERY = 2.0


def main(program: str, argv: list[str]) -> None:
    verb, rest = (argv[0], argv[1:]) if argv else ("", [])
    match verb:
        case "--version" | "-v":
            print(f"{program} version {(HERE / 'version').read_text()} (STAND-IN: not {program}'s own work)")
        case "kubectl" | "ctr" if program == "k3s":
            _become(program, verb, rest)
        case "etcd-snapshot":
            _snapshot(program, rest)
        case "server":
            _serve(program, flags.parse(program, verb, rest))
        case "agent":
            _work(program, flags.parse(program, verb, rest))
        case _:
            raise flags.RefusedError(f"No help topic for '{verb}'")


def _become(program: str, verb: str, rest: list[str]) -> None:
    given = environment(BINS)
    if verb == "kubectl":
        given.setdefault("KUBECONFIG", f"/etc/rancher/{program}/{program}.yaml")
    argv = [verb, *(["--address", "/run/k3s/containerd/containerd.sock"] if verb == "ctr" else []), *rest]
    os.execve(BINS / verb, argv, given)


def _serve(program: str, config: dict[str, Any]) -> None:
    for lacking in {"token", "node-name", "node-ip", "cluster-cidr", "service-cidr"} - config.keys():
        raise flags.RefusedError(f"the stand-in has no value of its own for {lacking}")
    children = Children(Path(f"/var/lib/rancher/{program}/agent/logs"), BINS)
    one = servers.Server(program, config, children)
    if config.get("cluster-reset"):
        one.reset(str(config["cluster-reset-restore-path"]))
        return
    one.start()
    node = Node(program, config, children, BINS, "https://127.0.0.1:6443")
    _certify(node, one.tls)
    node.start(str(config.get("cluster-dns", "")), str(config["cluster-cidr"]))
    _notify()
    _stay(children, node, one)


def _work(program: str, config: dict[str, Any]) -> None:
    children = Children(Path(f"/var/lib/rancher/{program}/agent/logs"), BINS)
    host = str(config["server"]).removeprefix("https://").partition(":")[0]
    node = Node(program, config, children, BINS, f"https://{host}:6443")
    said = node.agent / "etc/cluster.json"
    if not (node.agent / "client-kubelet.key").exists():
        token = str(config["token"])
        api = Api(str(config["server"]), None, token=token.rpartition("::")[2])
        facts = _patient(lambda: servers.verify(Api(str(config["server"]), None), token))
        lent = _patient(lambda: _lent(api))
        for name, text in lent.items():
            certs.write(node.agent / "lent" / name, text.encode())
        certs.write(said, json.dumps(facts).encode(), 0o644)
        _certify(node, node.agent / "lent")
    facts = json.loads(said.read_text())
    node.start(facts["dns"], facts["cluster-cidr"])
    _notify()
    _stay(children, node, None)


def _lent(api: Api) -> dict[str, str]:
    from base64 import b64decode

    found = api.ask("GET", "/api/v1/namespaces/kube-system/secrets/standin-agents")["data"]
    return {name: b64decode(text).decode() for name, text in found.items()}


def _patient(ask: Any) -> Any:
    """A cluster that does not answer is asked again; one that refuses is left."""
    while True:
        try:
            return ask()
        except urllib.error.HTTPError as error:
            if error.code in (401, 403):
                raise SystemExit(f"failed to validate token: {error.code} {error.reason}") from error
        except OSError as error:
            print(f"failed to get CA certs: {error}", file=sys.stderr)
        time.sleep(2)


def _certify(node: Node, keys: Path) -> None:
    """`client-kubelet` last: by it a node is known to have joined."""
    node.agent.mkdir(parents=True, exist_ok=True)
    for name in ("server-ca", "client-ca"):
        certs.write(node.agent / f"{name}.crt", (keys / f"{name}.crt").read_bytes(), 0o644)
    sans = (node.name, "localhost", "127.0.0.1", node.address)
    certs.issue(keys / "server-ca", node.agent / "serving-kubelet", f"system:node:{node.name}", ("system:nodes",), sans)
    certs.issue(keys / "client-ca", node.agent / "client-kube-proxy", "system:kube-proxy")
    certs.issue(keys / "client-ca", node.agent / "client-kubelet", f"system:node:{node.name}", ("system:nodes",))


def _stay(children: Children, node: Node, one: servers.Server | None) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        children.check()
        for work in (node.follow, *([one.tend] if one else [])):
            with contextlib.suppress(OSError, KeyError, SystemExit, TimeoutError):
                work()
        time.sleep(_EVERY)


def _notify() -> None:
    """sd_notify(3)."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.sendto(b"READY=1", address.replace("@", "\0", 1))


def _snapshot(program: str, argv: list[str]) -> None:
    config = flags.parse(program, "server", [])
    one = servers.Server(program, config, Children(Path("/run/k3s/snapshot"), BINS))
    match argv:
        case ["save", "--name", name]:
            print(one.save(name))
        case ["delete", name]:
            (one.db / "snapshots" / name).unlink()
        case ["ls" | "list"]:
            print("\n".join(path.name for path in sorted((one.db / "snapshots").iterdir())))
        case _:
            raise flags.RefusedError(f"etcd-snapshot: {' '.join(argv)} is not known to the stand-in")


if __name__ == "__main__":
    try:
        main(sys.argv[1], sys.argv[2:])
    except flags.RefusedError as error:
        sys.exit(str(error))

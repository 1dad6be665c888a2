"""An application for clusters of tests, and somebody who keeps asking it."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

from tests.cluster.nodes import Ground

PORT = 30080
PLANES_TOO = {"key": "node-role.kubernetes.io/master", "operator": "Exists", "effect": "NoSchedule"}
"""Tolerated by what may run on control planes, too. Whoever tolerates every taint comes back to a drained node."""
_EVERY = 0.2


def application(image: str) -> bytes:
    """Two of a key-value store, on nodes of any kind, one of them there always, behind a port of each node."""
    labels = {"app": "store"}
    container = {
        "name": "store",
        "image": image,
        "command": ["etcd", "--data-dir=/tmp/store", "--listen-client-urls=http://0.0.0.0:2379"],
        "args": ["--advertise-client-urls=http://0.0.0.0:2379"],
        "readinessProbe": {"httpGet": {"path": "/health", "port": 2379}, "periodSeconds": 1},
        # Whoever forwards to it hears that it goes some moments before it does.
        "lifecycle": {"preStop": {"exec": {"command": ["etcdctl", "watch", "goes"]}}},
    }
    anywhere = [PLANES_TOO]
    apart = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels}}
    spec = {
        "containers": [container],
        "tolerations": anywhere,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 6,
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [apart]}},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "store"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "store"},
        "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": 2379, "nodePort": PORT}]},
    }
    budget = {
        "apiVersion": "policy/v1beta1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "store"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [deployment, service, budget]}).encode()


class Asked:
    def __init__(self) -> None:
        self.answered = 0
        self.failed = list[str]()


@contextmanager
def asks(ground: Ground, address: IPv4Address, port: int = PORT) -> Iterator[Asked]:
    """Five times a second while this lasts, each time by a new connection."""
    asked, over = Asked(), threading.Event()
    url = f"http://{address}:{port}/health"

    def ask() -> None:
        while not over.wait(_EVERY):
            argv = [*ground.entered, "curl", "-sS", "--max-time", "3", url]
            said = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
            if '"health":"true"' in said.stdout:
                asked.answered += 1
            else:
                asked.failed.append(f"{time.monotonic():.1f} {said.stderr.strip()}")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()

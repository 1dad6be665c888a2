"""Packages of one application for clusters of tests, by hand: versions of it that work, and others."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from images.artifact_set import LAYOUT, ArtifactSet, Engine, Provenance
from images.oci.document import Settings
from images.oci.layout import Layout
from images.set_folder import SetFolder
from images.set_making import describe, write_description
from tests.cluster.conftest import Artifacts
from tests.cluster.workload import PLANES_TOO

NAME, PORT = "store", 8080
_IMAGE, _ETCD = "apps/store", "k8s/etcd"
_LISTEN = (
    "--data-dir=/tmp/store",
    "--listen-client-urls=http://0.0.0.0:2379",
    "--advertise-client-urls=http://store:2379",
)


def package(
    artifacts: Artifacts,
    folder: Path,
    version: str,
    *,
    command: Sequence[str] = ("etcd", *_LISTEN),
    contains: str = '"health":"true"',
    extra: Sequence[Mapping[str, object]] = (),
    image: str = "",
) -> ArtifactSet:
    """A key-value store that says by HTTP that it is well, at the balancer's port."""
    folder.mkdir(parents=True)
    layout = Layout.create(folder / LAYOUT)
    (etcd,) = (one for one in artifacts.set.images if one.repository == _ETCD)
    layers = layout.adopt(artifacts.folder / LAYOUT, etcd.name)
    layout.add_image(f"{_IMAGE}:{version}", layers, Settings(environment={"PATH": "/usr/bin"}))
    documents = [*_documents(image or f"{_IMAGE}:{version}", command), *extra]
    (folder / "manifests.yaml").write_text("\n---\n".join(map(json.dumps, documents)))
    smoke = {"service": NAME, "port": PORT, "path": "/health", "contains": contains}
    (folder / "smoke.json").write_text(json.dumps(smoke))
    roles = {"manifests.yaml": "manifests", "smoke.json": "smoke"}
    with closing(SetFolder(folder)) as opened:
        described = describe(
            opened,
            engine=Engine.APPLICATION,
            version=version,
            arch="amd64",
            provenance=Provenance.GENUINE,
            roles=roles,
            application=NAME,
        )
    write_description(folder, described)
    return described


def _documents(image: str, command: Sequence[str]) -> tuple[Mapping[str, object], ...]:
    labels = {"app": NAME}
    container = {
        "name": NAME,
        "image": image,
        "command": list(command),
        "readinessProbe": {"httpGet": {"path": "/health", "port": 2379}, "periodSeconds": 1},
        # Whoever forwards to it hears that it goes some moments before it does.
        "lifecycle": {"preStop": {"exec": {"command": ["etcdctl", "watch", "goes"]}}},
    }
    pods = {"containers": [container], "enableServiceLinks": False, "terminationGracePeriodSeconds": 12}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": labels},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": {**pods, "tolerations": [PLANES_TOO]}},
        },
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"port": PORT, "targetPort": 2379}]},
    }
    return deployment, service

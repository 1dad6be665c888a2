"""`install-config.yaml`, which openshift-install reads and consumes. YAML that is JSON. Pure.

Fields: openshift/installer, pkg/types/installconfig.go (`apiVersion: v1`). Platform `none`: names, addresses and the
balancer are the appliance's.
"""

import json
from base64 import b64encode
from collections.abc import Mapping

from appliance.errors import SiteError
from appliance.model.okd import OkdShape, OkdSpec, OkdWay
from appliance.okd.artifacts import SOURCES

NAME = "install-config.yaml"
_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
_NOBODY = "innervate:reads"
"""The mirror asks nodes for no password; the installer wants to see some for it all the same."""


def install_config(spec: OkdSpec, arch: str, authority: str) -> str:
    """`arch` as a set writes it; `authority` (PEM) has signed the mirror's certificate. No secret is in it.

    Raises `SiteError`."""
    if _CERTIFICATE not in authority:
        raise SiteError("the mirror's certificate has no authority", next_action="see how it is: innervate doctor")
    if not spec.keys:
        raise SiteError(
            f"{spec.cluster.name}: nobody could enter its machines",
            evidence="the topology has no authorized keys",
            next_action="put an OpenSSH public key line into the topology's ShellAccess",
        )
    return json.dumps(_document(spec, arch, authority), indent=1) + "\n"


def _document(spec: OkdSpec, arch: str, authority: str) -> Mapping[str, object]:
    document: dict[str, object] = {
        "apiVersion": "v1",
        "baseDomain": spec.domain,
        "metadata": {"name": spec.cluster.name},
        "controlPlane": _pool("master", arch, len(spec.planes)),
        "compute": [_pool("worker", arch, _workers(spec))],
        "networking": {
            "networkType": "OVNKubernetes",
            "clusterNetwork": [{"cidr": str(spec.cluster.pods), "hostPrefix": spec.prefix}],
            "serviceNetwork": [str(spec.cluster.services)],
            "machineNetwork": [{"cidr": str(spec.machines)}],
        },
        "platform": {"none": {}},
        "imageDigestSources": [
            {"source": source, "mirrors": [f"{spec.cluster.registry}/{repository}"]}
            for repository, source in SOURCES.items()
        ],
        "additionalTrustBundlePolicy": "Always",
        "additionalTrustBundle": authority,
        "pullSecret": _pull_secret(spec.cluster.registry),
        "sshKey": "\n".join(spec.keys),
    }
    if spec.shape is OkdShape.SINGLE and spec.way is OkdWay.UPI:
        document["bootstrapInPlace"] = {"installationDisk": spec.planes[0].device}
    return document


def _pool(name: str, arch: str, replicas: int) -> Mapping[str, object]:
    return {"name": name, "architecture": arch, "hyperthreading": "Enabled", "replicas": replicas, "platform": {}}


def _workers(spec: OkdSpec) -> int:
    """Where machines are told one by one the installer is to make none: workers ask for certificates later."""
    return len(spec.workers) if spec.way is OkdWay.AGENT else 0


def _pull_secret(registry: str) -> str:
    return json.dumps({"auths": {registry: {"auth": b64encode(_NOBODY.encode()).decode()}}})

"""`agent-config.yaml`, which `openshift-install agent create pxe-files` reads beside install-config.yaml. Pure.

Fields: openshift/installer, pkg/types/agent (`apiVersion: v1beta1`). Hosts are told by MAC; whose address is the
rendezvous one leads the others.
"""

import json
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address

from appliance.errors import SiteError
from appliance.model.links import NicLink
from appliance.model.okd import OkdHost, OkdSpec, OkdWay
from appliance.okd.disks import hints_of
from appliance.okd.nmstate import state_of

NAME = "agent-config.yaml"
_NIC = "boot0"
"""What the port that a host boots from is called where nothing else is stated: the name joins it to its MAC here."""


def agent_config(spec: OkdSpec, artifacts_url: str, time_sources: tuple[IPv4Address, ...]) -> str:
    """`artifacts_url` is where hosts find the boot artifacts. Raises `SiteError`."""
    if spec.way is not OkdWay.AGENT:
        raise SiteError(f"{spec.cluster.name} is not installed by agents", next_action="way=OkdWay.AGENT")
    document: dict[str, object] = {
        "apiVersion": "v1beta1",
        "kind": "AgentConfig",
        "metadata": {"name": spec.cluster.name},
        "rendezvousIP": str(spec.rendezvous.address),
        "bootArtifactsBaseURL": artifacts_url,
        "hosts": [_host(host) for host in spec.nodes],
    }
    if time_sources:
        document["additionalNTPSources"] = [str(one) for one in time_sources]
    return json.dumps(document, indent=1) + "\n"


def _host(host: OkdHost) -> Mapping[str, object]:
    document: dict[str, object] = {
        "hostname": host.name,
        "role": host.role.value,
        "interfaces": list(_interfaces(host)),
        "rootDeviceHints": hints_of(host.wwn, host.serial),
    }
    if host.network is not None:
        document["networkConfig"] = state_of(host.network)
    return document


def _interfaces(host: OkdHost) -> Iterator[Mapping[str, str]]:
    links = host.network.links if host.network is not None else ()
    nics = [(link.name, str(link.mac)) for link in links if isinstance(link, NicLink)]
    if str(host.mac) not in {mac for _, mac in nics}:
        yield {"name": _NIC, "macAddress": str(host.mac)}
    for name, mac in nics:
        yield {"name": name, "macAddress": mac}

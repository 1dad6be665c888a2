"""What the site does for an OKD cluster: its names, and where its address leads. Pure.

OKD documentation, "Installing a user-provisioned bare metal cluster": user-provisioned DNS and load balancing.
"""

from appliance.model.balancer import Backend, HttpsCheck, Listener
from appliance.model.cluster import API_PORT
from appliance.model.okd import MACHINE_CONFIG_PORT, OkdHost, OkdSpec
from pxe.dns.packet import Address

HTTPS, HTTP = 443, 80
PORTS = (API_PORT, MACHINE_CONFIG_PORT, HTTPS, HTTP)


def records(spec: OkdSpec) -> tuple[Address, ...]:
    """Whole names. Those of machines are the site's own already."""
    return tuple(Address(name=name, address=spec.cluster.endpoint) for name in (spec.api, spec.api_inside, spec.apps))


def listeners(spec: OkdSpec, *, starting: bool) -> tuple[Listener, ...]:
    """`starting`: the bootstrap machine serves until a control plane does. Machine configs hold secrets: they are for
    the cluster's machines alone."""
    name = spec.cluster.name
    first = (spec.bootstrap,) if starting and spec.bootstrap is not None else ()
    api, configs = (_backends(spec.planes, first, port) for port in (API_PORT, MACHINE_CONFIG_PORT))
    return (
        Listener(name=f"{name}-api", port=API_PORT, backends=api, check=HttpsCheck()),
        Listener(name=f"{name}-configs", port=MACHINE_CONFIG_PORT, backends=configs, sources=(spec.machines,)),
        *(
            Listener(name=f"{name}-{word}", port=port, backends=_backends(spec.ingress, (), port), affinity=True)
            for word, port in (("https", HTTPS), ("http", HTTP))
        ),
    )


def _backends(hosts: tuple[OkdHost, ...], backups: tuple[OkdHost, ...], port: int) -> tuple[Backend, ...]:
    own = (Backend(name=host.name, address=host.address, port=port) for host in hosts)
    return (*own, *(Backend(name=one.name, address=one.address, port=port, backup=True) for one in backups))

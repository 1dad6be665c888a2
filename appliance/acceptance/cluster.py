"""A cluster that was made with a set: is it at rest, in that release, by its own word?"""

from urllib.parse import urlsplit

from appliance.errors import ClusterError
from appliance.kubernetes import objects
from appliance.kubernetes.api import Api
from appliance.okd import objects as okd


async def at_rest(kubeconfig: object, version: str) -> str:
    """`kubeconfig` as JSON. Raises `InnervateError` that names whatever is not at rest."""
    url, server = _place(kubeconfig)
    access = objects.access(kubeconfig)
    api = Api(url, objects.Access(ca=access.ca, certificate=access.certificate, key=access.key, server=server))
    try:
        if lacks := await api.ready():
            raise ClusterError(f"its API is not ready: {lacks}")
        release, said = okd.version_of(await api.found(okd.VERSION))
        operators, pools = [okd.said_of(objects.items(await api.found(path))) for path in (okd.OPERATORS, okd.POOLS)]
        nodes, pending = await api.nodes(), await api.requests()
    finally:
        await api.close()
    wrong = [
        *okd.unwell(said, operators, pools),
        *(f"{one.name} is not ready: {one.why}" for one in nodes if not one.ready),
    ]
    wrong += [f"the cluster runs {release or 'no release'}"] if release != version else []
    wrong += [f"{len(pending)} requests for certificates are pending"] if pending else []
    if wrong:
        raise ClusterError("; ".join(wrong[:8]))
    return f"{len(operators)} operators, {len(pools)} pools and {len(nodes)} nodes at rest"


def _place(kubeconfig: object) -> tuple[str, str]:
    """URL, and the name that the certificate there is of, where it is another."""
    match kubeconfig:
        case {"clusters": [{"cluster": {"server": str(url), **more}}, *_]} if urlsplit(url).scheme == "https":
            named = more.get("tls-server-name")
            return url, named if isinstance(named, str) else ""
        case _:
            raise ClusterError("this kubeconfig leads nowhere")

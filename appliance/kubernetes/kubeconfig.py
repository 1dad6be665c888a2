"""A kubeconfig for people, from what the appliance enters a cluster with. JSON, which is YAML too. Pure.

Source: Kubernetes, "Organizing Cluster Access Using kubeconfig Files"; `client-go/tools/clientcmd/api/v1`.
"""

import json
from base64 import b64encode

from appliance.kubernetes.objects import Access
from appliance.model.cluster import ClusterName
from appliance.model.secret import Secret


def kubeconfig(cluster: ClusterName, url: str, access: Access) -> Secret:
    """Whoever has it may do everything in the cluster."""
    user = f"{cluster}-admin"
    client = {
        "client-certificate-data": _encoded(access.certificate),
        "client-key-data": _encoded(access.key.reveal()),
    }
    named = {"tls-server-name": access.server} if access.server else {}
    place = {"server": url, "certificate-authority-data": _encoded(access.ca), **named}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": place}],
        "users": [{"name": user, "user": client}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": user}}],
        "current-context": cluster,
    }
    return Secret(json.dumps(document, indent=2) + "\n")


def _encoded(text: str) -> str:
    return b64encode(text.encode()).decode()

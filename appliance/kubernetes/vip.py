"""The cluster's endpoint as an address that its control planes share: keepalived.conf(5), RFC 5798. Pure.

Nothing stands before the API servers: each listens on every address of its machine, and whoever has this one is asked.
Who is not ready is no candidate: one that was removed, and starts again with what it kept, hears nothing of the others
and must not answer for them. The only one has the address before it is ready, because kubeadm founds a cluster by it.
"""

import shlex
from collections.abc import Sequence
from ipaddress import IPv4Address

from appliance.model.cluster import API_PORT
from appliance.nodes.job import Act, TextFile

CONFIGURATION = "/etc/keepalived/keepalived.conf"
LOOK = "/usr/local/lib/innervate/api-is-ready"
_TEMPLATE = """\
global_defs {{
    router_id {name}
    enable_script_security
    script_user root
    vrrp_version 3
    vrrp_garp_master_refresh 1
    vrrp_garp_master_refresh_repeat 1
}}

vrrp_script api {{
    script "{look}"
    interval 1
    timeout 4
    fall 1
    rise 1
    {unready}
}}

vrrp_instance api {{
    state BACKUP
    interface DEVICE
    virtual_router_id {router}
    priority 100
    advert_int 0.5
{peers}    virtual_ipaddress {{
        {endpoint}/32 dev DEVICE
    }}
    track_script {{
        api
    }}
}}
"""
_READY = """\
#!/bin/bash
# By the address that is in the API server's certificate. A second try after a moment: it may be busy.
for try in 1 2; do
    if exec 3<>/dev/tcp/{address}/{port}; then
        {ask} --server=https://{address}:{port} \\
            --request-timeout=1s get --raw=/readyz && exit 0
    fi
    sleep 0.3
done >/dev/null 2>&1
exit 1
"""
_ASK = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
_START = f"""\
set -eu
if ! command -v keepalived >/dev/null; then
    echo "keepalived is not on this machine: put its package into the artifact set"
    exit 1
fi
device=$(ip -o -4 address show to "$1" | cut -d ' ' -f 2)
sed -i "s/DEVICE/$device/" {CONFIGURATION}
keepalived --config-test --use-file {CONFIGURATION}
systemctl enable --quiet keepalived.service
systemctl reload-or-restart keepalived.service
"""


def files(
    name: str,
    address: IPv4Address,
    endpoint: IPv4Address,
    router: int,
    others: Sequence[IPv4Address],
    *,
    ask: Sequence[str] = _ASK,
) -> tuple[TextFile, ...]:
    """`ask` is what a question to the node's own API begins with. `others` have the rest of the control planes: told
    one by one, because multicast is filtered on many networks."""
    lines = "".join(f"        {other}\n" for other in others)
    peers = f"    unicast_src_ip {address}\n    unicast_peer {{\n{lines}    }}\n" if others else ""
    ready = _READY.format(ask=shlex.join(ask), address=address, port=API_PORT)
    unready = "init_fail" if others else "weight 50"
    text = _TEMPLATE.format(name=name, look=LOOK, router=router, peers=peers, endpoint=endpoint, unready=unready)
    return (TextFile(path=CONFIGURATION, text=text), TextFile(path=LOOK, text=ready, mode="755"))


def start(address: IPv4Address) -> tuple[Act, ...]:
    return (Act(argv=("sh", "-c", _START, "sh", str(address)), says="sharing the cluster's address"),)

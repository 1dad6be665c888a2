"""keepalived's configuration for an address that moves (keepalived.conf(5), RFC 5798), of one member. Pure.

Unicast: VRRP's multicast is filtered on many networks. Twice a second the holder says that it is there; who hears
nothing for 1.5 s and a little takes over. Nobody takes the address back from a holder that is well (`nopreempt`): each
move costs connections. A holder whose balancer does not answer two tries lets it go.

The holder says each second by ARP where the address is: of two that a mended cable joins again one lets go before the
other has heard of it, and nobody would tell the neighbours.
"""

from appliance.balancer.config import ALIVE_PATH
from appliance.model.balancer import Vip, VipMember


def rendered(vip: Vip, member: VipMember, check: str) -> str:
    """`check` is the path of what `look` renders, on the member."""
    peers = "\n".join(f"        {peer.address}" for peer in vip.members if peer != member)
    return _CONFIGURATION.format(vip=vip, member=member, peers=peers, check=check)


def look(vip: Vip) -> str:
    """A script that succeeds while the member's balancer answers."""
    return _LOOK.format(port=vip.alive, path=ALIVE_PATH)


_CONFIGURATION = """\
global_defs {{
    router_id {member.name}
    enable_script_security
    script_user root
    vrrp_version 3
    vrrp_garp_master_refresh 1
    vrrp_garp_master_refresh_repeat 1
}}

vrrp_script balancer {{
    script "{check}"
    interval 1
    timeout 3
    fall 1
    rise 2
    init_fail
}}

vrrp_instance {vip.name} {{
    state BACKUP
    nopreempt
    interface {vip.device}
    virtual_router_id {vip.router}
    priority {member.priority}
    advert_int 0.5
    unicast_src_ip {member.address}
    unicast_peer {{
{peers}
    }}
    virtual_ipaddress {{
        {vip.address} dev {vip.device}
    }}
    track_script {{
        balancer
    }}
}}
"""
_LOOK = """\
#!/bin/bash
# A second try after a moment: a balancer that systemd has just started again is well.
for try in 1 2; do
    if exec 3<>/dev/tcp/127.0.0.1/{port}; then
        printf 'GET {path} HTTP/1.0\\r\\n\\r\\n' >&3
        read -r -t 0.8 line <&3 && [[ $line == *' 200 '* ]] && exit 0
    fi
    sleep 0.3
done 2>/dev/null
exit 1
"""
NONLOCAL = "net.ipv4.ip_nonlocal_bind = 1\n"
"""For /etc/sysctl.d: the balancer of a member that does not hold the address listens on it all the same."""

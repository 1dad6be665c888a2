"""Networks of one machine whose files are kept in tests/golden/network, and read by the programs that they are for."""

from appliance.model.links import (
    BondLink,
    BondMode,
    BridgeLink,
    HashPolicy,
    LacpRate,
    MachineNetwork,
    NicLink,
    VlanLink,
)
from appliance.model.stated_links import DHCP, static, with_routes
from pxe.client import Mac

FIRST, SECOND, THIRD = (Mac(f"52:54:00:77:0{number}:01") for number in range(3))

PLAIN = MachineNetwork(
    links=(
        NicLink(
            name="lan0",
            mac=FIRST,
            mtu=9000,
            ip=with_routes(
                static(
                    "10.77.0.50/24",
                    "fd00:77::50/64",
                    gateway="10.77.0.1 fd00:77::1",
                    dns=("10.77.0.1", "fd00:77::1"),
                    search=("rack.test", "example"),
                ),
                ("10.9.0.0/16", "10.77.0.254"),
            ),
        ),
        NicLink(name="lan1", mac=SECOND, ip=DHCP),
    )
)
BONDED = MachineNetwork(
    links=(
        NicLink(name="bond0p0", mac=FIRST),
        NicLink(name="bond0p1", mac=SECOND),
        BondLink(
            name="bond0",
            members=("bond0p0", "bond0p1"),
            mode=BondMode.ACTIVE_BACKUP,
            mac=FIRST,
            primary="bond0p0",
            ip=static("10.77.0.50/24", gateway="10.77.0.1"),
        ),
        VlanLink(name="storage", id=20, parent="bond0", mtu=1400, ip=static("10.20.0.50/24")),
    )
)
LACP = MachineNetwork(
    links=(
        NicLink(name="bond0p0", mac=FIRST),
        NicLink(name="bond0p1", mac=SECOND),
        BondLink(
            name="bond0",
            members=("bond0p0", "bond0p1"),
            mode=BondMode.LACP,
            mac=FIRST,
            lacp_rate=LacpRate.FAST,
            hash_policy=HashPolicy.LAYER3_4,
            mtu=9000,
        ),
        VlanLink(name="tenant", id=4094, parent="bond0"),
        NicLink(name="lan0", mac=THIRD),
        BridgeLink(name="br0", ports=("lan0", "tenant"), ip=static("192.0.2.7/28", "2001:db8::7/64")),
    )
)
CASES = {"plain": PLAIN, "bonded": BONDED, "lacp": LACP}

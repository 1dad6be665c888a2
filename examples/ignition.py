"""Debian, configured by Ignition before it starts for the first time: a file, a link, a user and a service of its own.

innervate check examples/ignition.py
"""

from appliance.lab.topology import lab_rack
from appliance.model.ignition import Config, File, Link, Passwd, Storage, Systemd, Unit, User, inline
from appliance.plan import ShellCheck
from appliance.roles.disk import Overwrite, SmallestDisk
from appliance.scores.discover import Discover
from appliance.scores.install_linux import InstallLinux
from appliance.scores.smoke_test import DEFAULT_CHECKS, SmokeTest
from appliance.site import Site

GB = 10**9
BEACON = """\
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/cp /etc/beacon /run/beacon

[Install]
WantedBy=multi-user.target
"""

config = Config(
    storage=Storage(
        files=(File(path="/etc/beacon", contents=inline("lit\n"), mode=0o644),),
        links=(Link(path="/etc/localtime", target="/usr/share/zoneinfo/UTC", overwrite=True),),
    ),
    systemd=Systemd(units=(Unit(name="beacon.service", enabled=True, contents=BEACON),)),
    passwd=Passwd(users=(User(name="ops", groups=("adm",)),)),
)

site = Site(
    name="lab",
    topology=lab_rack(),
    scores=[
        Discover(),
        InstallLinux(
            image="debian-13",
            ignition=(config,),
            disk=SmallestDisk(minimum_bytes=2 * GB),
            overwrite=Overwrite.BLANK_ONLY,
        ),
        SmokeTest(
            checks=(
                *DEFAULT_CHECKS,
                ShellCheck(name="beacon", argv=("cat", "/run/beacon"), expected="lit"),
                ShellCheck(name="service", argv=("systemctl", "is-enabled", "beacon.service"), expected="enabled"),
                ShellCheck(name="user", argv=("id", "-Gn", "ops"), expected="ops adm"),
            )
        ),
    ],
)

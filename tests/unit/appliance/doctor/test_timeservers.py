"""Which time servers are followed, from what chronyc and timedatectl print."""

import pytest

from appliance.doctor.timeservers import of_chrony, of_timesyncd

CHRONY = """\
^,*,192.0.2.1,2,6,377,23,0.000012,0.000013,0.000210
^,?,ntp.example,0,7,0,4294967295,0.000000,0.000000,0.000000
=,-,10.0.0.7,3,6,377,11,0.001,0.001,0.02
#,-,PPS0,0,4,377,11,0.0,0.0,0.0
"""


@pytest.mark.parametrize(
    ("said", "names"),
    [
        (CHRONY, ("192.0.2.1", "ntp.example", "10.0.0.7")),
        ("506 Cannot talk to daemon\n", ()),
        ("", ()),
        ("^,*,-f /etc/shadow,2\n^,*,--help,2\n^,*,a;b,2\n", ()),
    ],
    ids=["sources", "no-daemon", "nothing", "no-names"],
)
def test_chrony(said: str, names: tuple[str, ...]) -> None:
    assert of_chrony(said.splitlines()) == names


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ("SystemNTPServers=10.0.0.1 ntp.example\nLinkNTPServers=10.0.0.9\n", ("10.0.0.9", "10.0.0.1", "ntp.example")),
        ("ServerName=2.debian.pool.ntp.org\nServerAddress=192.0.2.7\n", ("2.debian.pool.ntp.org",)),
        ("ServerName=2.debian.pool.ntp.org\n", ()),
        ("SystemNTPServers=10.0.0.1\nServerName=10.0.0.1\nServerAddress=10.0.0.1\n", ("10.0.0.1",)),
        ("Failed to connect to bus: Host is down\n", ()),
    ],
    ids=["configured", "followed", "fallback-that-is-silent", "once", "no-systemd"],
)
def test_timesyncd(said: str, names: tuple[str, ...]) -> None:
    assert of_timesyncd(said.splitlines()) == names

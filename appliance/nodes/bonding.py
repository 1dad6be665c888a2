"""A machine's side of the change from single ports to a bond: jobs and questions for it. Pure.

The old network is kept beside the new one until it is decided. The machine decides at its deadline, whoever lives then:
it keeps a bond of which every port hears the switch by LACP, and goes back otherwise; also after a power cut.
systemd.timer(5), systemd-networkd(8); /proc/net/bonding as in the kernel's Documentation/networking/bonding.rst.
"""

from collections.abc import Mapping
from hashlib import sha256

from appliance.install.networkd import networkd_files
from appliance.model.codec import to_json
from appliance.model.ids import MachineName
from appliance.model.switch import BondPorts
from appliance.nodes.job import Act, Job, TextFile

FOLDER = "/var/lib/innervate/network"
UNIT = "innervate-network-decide"
DECIDE = "/usr/local/lib/innervate/network-decide"
_ETC = "/etc/systemd/network"
_SERVICE = f"""\
[Unit]
Description=Keep the new network where the switch answers, or go back to the old one
ConditionPathExists={FOLDER}/undecided

[Service]
Type=oneshot
ExecStart=sh {DECIDE} {{bond}} {{ports}}
"""
_TIMER = """\
[Unit]
Description=The deadline of a new network

[Timer]
OnActiveSec={seconds}
OnBootSec={seconds}
AccuracySec=100ms

[Install]
WantedBy=timers.target
"""
_DECIDE = f"""\
# network-decide BOND PORTS [only-keep]: keeps the new network, or goes back; with `only-keep` never the latter.
set -eu
bond=$1 ports=$2 only=${{3:-}}
cd {FOLDER}
[ -e undecided ] || exit 0
has=$(sed -n 's/^\\tNumber of ports: //p' "/proc/net/bonding/$bond" | head -n 1)
partner=$(sed -n 's/^\\tPartner Mac Address: //p' "/proc/net/bonding/$bond" | head -n 1)
if [ "${{has:-0}}" -ge "$ports" ] && [ "${{partner:-00:00:00:00:00:00}}" != 00:00:00:00:00:00 ]; then
    echo new >side.new
elif [ -n "$only" ]; then
    exit 1
else
    echo back >side.new
    echo "of $ports ports ${{has:-0}} were in a channel with ${{partner:-nobody}}" >why
    find {_ETC} -mindepth 1 -delete
    cp -a old/. {_ETC}/
    ip link delete "$bond" 2>/dev/null || :
    networkctl reload
    sleep 1
    for link in $(ls /sys/class/net); do networkctl reconfigure "$link" 2>/dev/null || :; done
fi
sync
mv side.new side
rm -f undecided
systemctl disable --quiet --now {UNIT}.timer
sync
"""
_APPLY = f"""\
set -eu
folder={FOLDER}
if ! [ -e "$folder/undecided" ]; then
    rm -rf "$folder/old"
    mkdir -p "$folder/old"
    cp -a {_ETC}/. "$folder/old/"
    sync
fi
: >"$folder/undecided"
echo undecided >"$folder/side"
rm -f "$folder/why"
sync
systemctl daemon-reload
systemctl enable --quiet {UNIT}.timer
systemctl restart {UNIT}.timer
find {_ETC} -mindepth 1 -delete
cp -a "$folder/new/." {_ETC}/
networkctl reload
"""
_LOOK = f"""\
cd {FOLDER} 2>/dev/null || exit 0
echo "side=$(cat side 2>/dev/null)"
echo "why=$(cat why 2>/dev/null)"
echo "ports=$(sed -n 's/^\\tNumber of ports: //p' "/proc/net/bonding/$1" 2>/dev/null | head -n 1)"
echo "partner=$(sed -n 's/^\\tPartner Mac Address: //p' "/proc/net/bonding/$1" 2>/dev/null | head -n 1)"
"""
_FOLLOWS = 2
"""The machine waits this many times as long as the switch: it decides when the switch has decided."""


def apply(do: BondPorts, name: MachineName) -> Job:
    """It has the new network when the job ends, undecided."""
    units = {
        f"/etc/systemd/system/{UNIT}.service": _SERVICE.format(bond=do.bond, ports=len(do.ports)),
        f"/etc/systemd/system/{UNIT}.timer": _TIMER.format(seconds=deadline(do)),
        DECIDE: _DECIDE,
    }
    wanted = {f"{FOLDER}/new/{path}": data.decode() for path, data in networkd_files(do.network).items()}
    return Job(
        name="bond-ports",
        mark=sha256(name.encode() + b"\n" + to_json(do)).hexdigest(),
        files=_files({**units, **wanted}),
        acts=(Act(argv=("sh", "-c", _APPLY), says=f"making {do.bond}"),),
    )


def deadline(do: BondPorts) -> int:
    """In seconds from the job on."""
    return _FOLLOWS * do.seconds


def look(do: BondPorts) -> tuple[str, ...]:
    """Prints what `standing.read_host` reads."""
    return ("sh", "-c", _LOOK, "sh", do.bond)


def keep(do: BondPorts) -> tuple[str, ...]:
    """Decides now, where that is for the new network; fails otherwise."""
    return ("sh", DECIDE, do.bond, str(len(do.ports)), "only-keep")


def go_back(do: BondPorts) -> tuple[str, ...]:
    """Decides now: the new network is kept only where the switch answers."""
    return ("sh", DECIDE, do.bond, str(len(do.ports)))


def _files(texts: Mapping[str, str]) -> tuple[TextFile, ...]:
    return tuple(TextFile(path=path, text=text) for path, text in sorted(texts.items()))

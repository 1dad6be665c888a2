"""What a node of k3s or RKE2 does, as texts for sh: it starts, leaves, is emptied, hands over what it remembers. Pure.

https://docs.k3s.io/cli/etcd-snapshot; leaving and emptying as `install.sh` of k3s has it in its killall and uninstall
scripts, which an installation of files alone does not bring.
"""

from ipaddress import IPv4Address

from appliance.kubernetes import etcd, vip
from appliance.kubernetes.flavour import Flavour
from appliance.kubernetes.life import MARKS
from appliance.model.cluster import API_PORT, NodeRole
from appliance.nodes.job import Act

JOBS = ("prepare", "found", "join", "restore", "upgrade")
_PLACE = """\
etc=$1 data=$2 staging=$3 unit=$4
"""
# A job that was cut off goes on with what it began; on a node of some other cluster nothing is touched. Who founds
# begins with nothing: half of a cluster's keys are none. Who joins goes on: the others count on its member already.
_TAKE = f"""\
set -eu
{_PLACE}begun={MARKS}/$5.begun afresh=$6
if [ -e "$data/server/db" ] || [ -e "$data/agent/client-kubelet.crt" ]; then
    if ! [ -e "$begun" ] || [ -e "${{begun%.begun}}" ]; then
        echo "this machine is a node of a cluster already, and not by this step: nothing was undone"
        exit 1
    fi
    if [ "$afresh" = yes ]; then
        systemctl stop "$unit" 2>/dev/null || :
        rm -rf "$data/server"
        rm -f "$data"/agent/*.crt "$data"/agent/*.key "$data"/agent/*.kubeconfig
    fi
fi
mkdir -p {MARKS} "$etc"
rm -f {MARKS}/"${{5%-*}}-reset"
touch "$begun"
sync "$begun"
cp "$staging/config.yaml" "$etc/.config.yaml"
mv "$etc/.config.yaml" "$etc/config.yaml"
cp "$staging/$unit" "/etc/systemd/system/$unit"
systemctl daemon-reload
"""
_START = """\
set -eu
systemctl enable --quiet "$1"
systemctl start "$1"
"""
_READY = """\
set -eu
seconds=$1 why=
shift
while [ "$seconds" -gt 0 ]; do
    why=$("$@" get --raw /readyz 2>&1) && exit 0
    seconds=$((seconds - 1))
    sleep 1
done
echo "its API is not ready: $why"
exit 1
"""
# Asked at the endpoint: when this node's member is gone, its own API server has no memory to answer from.
_LEAVE = """\
set -eu
name=$1 mark=$2 unit=$3
shift 3
systemctl is-active --quiet "$unit" || exit 0
"$@" get node "$name" -o name >/dev/null
"$@" annotate --overwrite node "$name" "$mark/remove=true"
path=$(echo "$mark/removed-node-name" | sed 's/\\./\\\\./g')
for _ in $(seq 240); do
    removed=$("$@" get node "$name" -o "jsonpath={.metadata.annotations.$path}" 2>/dev/null) || removed=
    [ -z "$removed" ] || exit 0
    sleep 1
done
echo "the cluster does not take this node's member out of etcd"
exit 1
"""
_CLEAN = f"""\
set -eu
etc=$1 data=$2 staging=$3 binary=$4 program=$5
shift 5
for bin in "$data"/data/*/bin; do PATH=$PATH:$bin:$bin/aux; done
for unit; do systemctl disable --quiet --now "$unit" 2>/dev/null || :; done
if [ -e {vip.CONFIGURATION} ]; then
    systemctl disable --quiet --now keepalived.service
    rm -f {vip.CONFIGURATION} {MARKS}/share-endpoint
fi
shims() {{
    for entry in /proc/[0-9]*; do
        case $(tr '\\0' ' ' <"$entry/cmdline" 2>/dev/null) in
            "$data"/*/containerd-shim*) echo "${{entry#/proc/}}" ;;
        esac
    done
}}
running() {{ find /sys/fs/cgroup -path '*kubepods*' -name cgroup.procs -exec cat {{}} + 2>/dev/null | sort -u; }}
for _ in $(seq 50); do
    left=$(shims; running)
    [ -n "$left" ] || break
    kill -KILL $left 2>/dev/null || :
    sleep 0.2
done
for below in /run/k3s/ /var/lib/kubelet/ "$data/" /run/netns/cni-; do
    cut -d ' ' -f 2 /proc/mounts | grep "^$below" | sort -r | while read -r mounted; do umount --lazy "$mounted"; done
done
rm -rf /run/netns/cni-*
for link in cni0 flannel.1 flannel-v6.1 flannel-wg kube-ipvs0 vxlan.calico; do
    ip link delete "$link" 2>/dev/null || :
done
for family in iptables ip6tables; do
    if command -v $family-save >/dev/null; then
        $family-save | grep -v -e KUBE- -e CNI- -e FLANNEL -e cali | $family-restore || :
    fi
done
for unit; do rm -f "/etc/systemd/system/$unit"; done
systemctl daemon-reload
systemctl reset-failed 2>/dev/null || :
for folder in "$data" "$etc" "$staging" {etcd.WORK} /etc/rancher/node /run/k3s /run/flannel /var/lib/kubelet \\
    /var/lib/cni; do
    [ ! -d "$folder" ] || find "$folder" -xdev -mindepth 1 -delete
done
rm -f "$binary"
for job in {" ".join(JOBS)}; do rm -f {MARKS}/"$program-$job" {MARKS}/"$program-$job.begun"; done
sync
"""
_SAVE = f"""\
set -eu
program=$1 data=$2
shift 2
umask 077
rm -rf {etcd.WORK}
mkdir -p {etcd.WORK}
"$program" etcd-snapshot save --name innervate >&2
taken=$(ls -t "$data"/server/db/snapshots/innervate-* | head -n 1)
cp "$taken" {etcd.SNAPSHOT}
"$program" etcd-snapshot delete "${{taken##*/}}" >&2 || :
# What a list is as of is etcd's revision: https://kubernetes.io/docs/reference/using-api/api-concepts/
revision=$("$@" get --raw '/api/v1/namespaces?limit=1' | grep -o '"resourceVersion":"[0-9]*"' | head -n 1 | tr -cd 0-9)
printf '"Revision" : %s\\n"Size" : %s\\n' "$revision" "$(stat -c %s {etcd.SNAPSHOT})"
"""
_HAND_OVER = f"""\
set -eu
tar -C / --numeric-owner -cf - {etcd.SNAPSHOT[1:]} "${{1#/}}/server/token" "${{1#/}}/server/tls"
rm -rf {etcd.WORK}
"""
_RESTORE = f"""\
set -eu
{_PLACE}program=$5
systemctl stop "$unit" 2>/dev/null || :
mkdir -p {etcd.WORK}/unpacked {MARKS} "$etc"
tar -C {etcd.WORK}/unpacked -xf {etcd.BACKUP}
cp "$staging/config.yaml" "$etc/.config.yaml"
mv "$etc/.config.yaml" "$etc/config.yaml"
cp "$staging/$unit" "/etc/systemd/system/$unit"
systemctl daemon-reload
# It refuses to do this twice without a start in between.
rm -f "$data/server/db/reset-flag"
"$program" server --cluster-reset --cluster-reset-restore-path={etcd.WORK}/unpacked{etcd.SNAPSHOT}
rm -rf {etcd.WORK}
rm -f {MARKS}/"$program-reset"
"""
_REPLACE = """\
set -eu
binary=$1 unit=$2
cp "$3" "$binary.new"
mv "$binary.new" "$binary"
systemctl restart "$unit"
"""
# Tars of images that the new version does not have would be read again at each start.
_SWEEP = """\
set -eu
folder=$1
shift
for path in "$folder"/*; do
    kept=
    for one; do [ "$path" != "$folder/$one" ] || kept=yes; done
    [ -n "$kept" ] || rm -f "$path"
done
"""
_READY_SECONDS = 600


def begin(flavour: Flavour, role: NodeRole, job: str, says: str, *, afresh: bool) -> tuple[Act, ...]:
    unit = flavour.unit(role)
    take = (*_place(flavour, unit), job, "yes" if afresh else "no")
    return (Act(argv=("sh", "-c", _TAKE, "sh", *take), says="configuring"), *_start(flavour, role, says))


def leave(flavour: Flavour, name: str, endpoint: IPv4Address, *, last: bool) -> tuple[Act, ...]:
    """As etcd.k3s.cattle.io/remove of a node asks: the others take its member out, and say so beside it."""
    ask = (*flavour.ask, f"--server=https://{endpoint}:{API_PORT}")
    mark = f"etcd.{flavour.program}.cattle.io"
    member = Act(
        argv=("sh", "-c", _LEAVE, "sh", name, mark, flavour.server, *ask),
        says="having this node's member taken out of etcd",
    )
    clean = ("sh", "-c", _CLEAN, "sh", flavour.etc, flavour.data, flavour.staging, flavour.binary, flavour.program)
    end = Act(argv=(*clean, flavour.server, flavour.agent), says="removing pods, keys and memory of the cluster")
    return (end,) if last else (member, end)


def save(flavour: Flavour) -> tuple[str, ...]:
    return ("sh", "-c", _SAVE, "sh", flavour.program, flavour.data, *flavour.ask)


def hand_over(flavour: Flavour) -> tuple[str, ...]:
    return ("sh", "-c", _HAND_OVER, "sh", flavour.data)


def restore(flavour: Flavour, says: str) -> tuple[Act, ...]:
    argv = ("sh", "-c", _RESTORE, "sh", *_place(flavour, flavour.server), flavour.program)
    back = Act(argv=argv, says="bringing back the cluster's keys and memory")
    return (back, *_start(flavour, NodeRole.CONTROL_PLANE, says))


def upgrade(flavour: Flavour, role: NodeRole, staged: str) -> tuple[Act, ...]:
    """`staged` is where the new program lies: pods run on while it takes the place of the other."""
    unit = flavour.unit(role)
    replace = Act(argv=("sh", "-c", _REPLACE, "sh", flavour.binary, unit, staged), says=f"starting {unit} anew")
    return (replace, *_wait(flavour, role))


def sweep(folder: str, kept: tuple[str, ...]) -> Act:
    return Act(argv=("sh", "-c", _SWEEP, "sh", folder, *kept), says="forgetting images of another version")


def _start(flavour: Flavour, role: NodeRole, says: str) -> tuple[Act, ...]:
    return (Act(argv=("sh", "-c", _START, "sh", flavour.unit(role)), says=says), *_wait(flavour, role))


def _wait(flavour: Flavour, role: NodeRole) -> tuple[Act, ...]:
    if role is not NodeRole.CONTROL_PLANE:
        return ()
    argv = ("sh", "-c", _READY, "sh", str(_READY_SECONDS), *flavour.ask)
    return (Act(argv=argv, says="waiting until its API is ready"),)


def _place(flavour: Flavour, unit: str) -> tuple[str, ...]:
    return (flavour.etc, flavour.data, flavour.staging, unit)

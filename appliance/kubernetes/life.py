"""What a node does after it has joined: it is upgraded, it leaves, it is what a cluster is restored on. Pure."""

from ipaddress import IPv4Address

from appliance.kubernetes import contents, etcd, kubeadm, node, vip
from appliance.kubernetes.cluster import Cluster
from appliance.model.cluster import NodeRole
from appliance.nodes.job import Act
from images.artifact_set import ArtifactSet

MARKS = "/var/lib/innervate/jobs"
_PROGRAMS = ("crictl", "kubectl", "kubelet")
_ADMIN = f"--kubeconfig={node.ADMIN}"
# kubeadm's own way out asks the cluster for permission and waits for it; who is asked here is only this node's etcd.
_LEAVE = f"""\
set -eu
image=$1 name=$2 last=$3
{etcd.TOOL}
if [ "$last" = no ] && [ -e /etc/kubernetes/manifests/etcd.yaml ]; then
    id=$(ask member list | sed -n "s/^\\([0-9a-f]*\\), [a-z]*, $name, .*/\\1/p")
    [ -z "$id" ] || ask member remove "$id"
fi
"""
_CLEAN = f"""\
set -eu
systemctl disable --quiet --now kubelet.service {contents.ROUTES} || :
if [ -e {vip.CONFIGURATION} ]; then
    systemctl disable --quiet --now keepalived.service
    rm -f {vip.CONFIGURATION} {MARKS}/share-endpoint
fi
timeout 300 kubeadm reset phase cleanup-node --cri-socket="$1"
for link in cni0 flannel.1; do ip link delete "$link" 2>/dev/null || :; done
if command -v iptables-save >/dev/null; then
    iptables-save | grep -v -e KUBE- -e CNI- | iptables-restore
fi
grep -o ' /var/lib/kubelet/[^ ]*' /proc/mounts | sort -r | while read -r mounted; do umount --lazy "$mounted"; done
for folder in /etc/kubernetes /var/lib/kubelet {etcd.DATA} {etcd.WORK} /etc/cni/net.d /var/lib/cni; do
    # The folder itself stays: it may be a disk of its own, and containerd watches this one for networks.
    [ ! -d $folder ] || find $folder -mindepth 1 -delete
done
rm -f {MARKS}/kubeadm-prepare {MARKS}/kubeadm-found* {MARKS}/kubeadm-join* {MARKS}/kubeadm-restore*
rm -f {MARKS}/kubeadm-upgrade
sync
"""
# The settings are the cluster's own: who joined was told none, and without any kubeadm looks for a version elsewhere.
SHARE_KEYS = f"""\
set -eu
umask 077
settings=$(mktemp)
trap 'rm -f "$settings"' EXIT
kubectl {_ADMIN} -n kube-system get configmap kubeadm-config -o jsonpath='{{.data.ClusterConfiguration}}' >"$settings"
kubeadm init phase upload-certs --upload-certs --config="$settings"
"""
_UNPACK = f"""\
set -eu
image=$1 socket=$2
{etcd.TOOL}
if [ -e /etc/kubernetes/manifests/etcd.yaml ] || [ -e /etc/kubernetes/kubelet.conf ]; then
    timeout 300 kubeadm reset phase cleanup-node --cri-socket="$socket"
fi
mkdir -p {etcd.WORK}/unpacked
tar -C {etcd.WORK}/unpacked -xf {etcd.BACKUP}
mv {etcd.WORK}/unpacked/{etcd.SNAPSHOT[1:]} {etcd.SNAPSHOT}
from={etcd.WORK}/unpacked/etc/kubernetes/pki to=/etc/kubernetes/pki
mkdir -p $to/etcd
for name in ca sa front-proxy-ca etcd/ca; do
    for end in crt key pub; do [ ! -e $from/$name.$end ] || cp -p $from/$name.$end $to/$name.$end; done
done
crictl pull "$image"
"""
_LAY_DOWN = f"""\
rm -rf {etcd.WORK}
rm -f {MARKS}/kubeadm-reset
sync
"""


def image_of(cluster: Cluster) -> str:
    """The reference of the cluster's etcd."""
    return f"{cluster.registry.prefix}/etcd:{cluster.tags['etcd']}"


def leave(cluster: Cluster, name: str, *, last: bool) -> tuple[Act, ...]:
    parts = ("sh", "-c", _LEAVE, "sh", image_of(cluster), name, "yes" if last else "no")
    return (
        Act(argv=parts, says="taking this node's member out of etcd"),
        Act(argv=("sh", "-c", _CLEAN, "sh", kubeadm.SOCKET), says="removing pods, keys and memory of the cluster"),
    )


def restore(cluster: Cluster, name: str, address: IPv4Address) -> tuple[Act, ...]:
    """From what lies at `etcd.BACKUP`, on a prepared node: the cluster's keys first, then its memory, then kubeadm
    makes of both what it makes of none otherwise."""
    (init,) = node.begin(cluster, "DirAvailable--var-lib-etcd")
    script = f"{_UNPACK}{etcd.restore(name, address)}{_LAY_DOWN}"
    return (
        Act(
            argv=("sh", "-c", script, "sh", image_of(cluster), kubeadm.SOCKET),
            says="bringing back the cluster's keys and memory",
        ),
        Act(argv=init.argv, says=f"starting {cluster.name} with them"),
    )


def fetches(artifacts: ArtifactSet) -> tuple[node.Fetch, ...]:
    """Programs lie beside those that run until it is their turn: a kubelet must not be newer than what it asks."""
    return tuple(
        node.Fetch(file=one.file, path=staged(artifacts, one.path), mode=one.mode) if "/bin/" in one.path else one
        for one in node.fetches(artifacts)
    )


def staged(artifacts: ArtifactSet, path: str) -> str:
    return f"{node.PACKAGES}/{artifacts.version}/{path.rpartition('/')[2]}"


_NAMELESS = ("CoreDNSMigration", "CoreDNSUnsupportedPlugins")
"""What kubeadm finds wrong in a cluster without a name service of its own."""


def upgrade(cluster: Cluster, artifacts: ArtifactSet, role: NodeRole, *, leads: bool) -> tuple[Act, ...]:
    """https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade/"""
    programs = [staged(artifacts, name) for name in _PROGRAMS]
    return (
        _install(staged(artifacts, "kubeadm")),
        *(_lead(cluster) if leads else (_follow(cluster, role),)),
        *(Act(argv=one.argv, says="installing packages") for one in node.prepare(artifacts)),
        _install(*programs),
        Act(argv=("systemctl", "restart", "containerd.service", "kubelet.service"), says="starting services anew"),
    )


def _install(*paths: str) -> Act:
    names = ", ".join(path.rpartition("/")[2] for path in paths)
    # Under the same name is the program that runs: what is new is put beside it and then takes its place.
    script = 'for one; do cp "$one" "/usr/local/bin/.new"; mv "/usr/local/bin/.new" "/usr/local/bin/${one##*/}"; done'
    return Act(argv=("sh", "-euc", script, "sh", *paths), says=f"installing {names}")


def _lead(cluster: Cluster) -> tuple[Act, ...]:
    """The settings first, of kubelets, too: the new kubeadm reads there where images come from, and which etcd."""
    settings = ("kubeadm", "init", "phase", "upload-config", "all", f"--config={node.CONFIG}")
    checks = node.lenient(cluster, *(() if cluster.has_names else _NAMELESS))
    apply = ("kubeadm", "upgrade", "apply", str(cluster.version), "--yes", *checks)
    delete = ("kubectl", _ADMIN, "-n", "kube-system", "delete", "--ignore-not-found")
    # Some versions bring a name service with them that this set does not have.
    without = Act(argv=(*delete, "deployment/coredns", "service/kube-dns"), says="leaving out what the set lacks")
    return (
        Act(argv=settings, says=f"telling {cluster.name} its new version"),
        Act(argv=apply, says=f"upgrading the control plane to {cluster.version}"),
        *(() if cluster.has_names else (without,)),
    )


def _follow(cluster: Cluster, role: NodeRole) -> Act:
    lenient = node.lenient(cluster) if role is NodeRole.CONTROL_PLANE else ()
    return Act(argv=("kubeadm", "upgrade", "node", *lenient), says=f"upgrading this {role.value} to {cluster.version}")

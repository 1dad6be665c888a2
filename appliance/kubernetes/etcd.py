"""The cluster's memory, by its own tool in its own image: nothing of it has to be installed on a node. Pure.

kubeadm gives each control plane a member of that node's name, and a certificate for its health check that may do
everything: https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/setup-ha-etcd-with-kubeadm/
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from appliance.errors import ClusterError
from appliance.model.text import clean

PEER_PORT = 2380
DATA = "/var/lib/etcd"
WORK = "/var/lib/innervate/etcd"
"""On the node: where copies lie that are taken away, and that are restored."""
SNAPSHOT = f"{WORK}/snapshot.db"
BACKUP = f"{WORK}/backup.tar"
_PKI = "/etc/kubernetes/pki/etcd"
_MEMBER = re.compile(r"[0-9a-f]{1,16}")
TOOL = f"""\
tool() {{
    name="innervate-etcd-$$-$(date +%N)"
    mkdir -p {_PKI} {WORK}
    ctr --namespace k8s.io run --rm --net-host --env ETCDCTL_API=3 \\
        --mount type=bind,src={_PKI},dst=/pki,options=rbind:ro \\
        --mount type=bind,src={WORK},dst=/copies,options=rbind:rw \\
        "$image" "$name" "$@"
}}
ask() {{
    tool etcdctl --endpoints=https://127.0.0.1:2379 --cacert=/pki/ca.crt \\
        --cert=/pki/healthcheck-client.crt --key=/pki/healthcheck-client.key "$@"
}}
"""
"""For sh, where `image` is the reference of etcd's image: `tool` runs a program of it, `ask` speaks with the member of
this node."""
_MEMBERS = f"set -eu\nimage=$1\n{TOOL}ask member list\n"
_REMOVE = f'set -eu\nimage=$1\n{TOOL}ask member remove "$2"\n'
_SAVE = f"""\
set -eu
image=$1
{TOOL}
umask 077
rm -rf {WORK}
ask snapshot save /copies/snapshot.db >&2
tool etcdctl snapshot status /copies/snapshot.db --write-out=fields
"""
_HAND_OVER = f"""\
set -eu
tar -C / --numeric-owner -cf - {" ".join((SNAPSHOT[1:], "etc/kubernetes/pki"))}
rm -rf {WORK}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdMember:
    """`name` is empty until it has started."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """`revision` counts changes of the cluster's memory; `size` in bytes."""

    revision: int
    size: int


def members(image: str) -> tuple[str, ...]:
    """argv for a control plane."""
    return ("sh", "-c", _MEMBERS, "sh", image)


def remove(image: str, member: EtcdMember) -> tuple[str, ...]:
    return ("sh", "-c", _REMOVE, "sh", image, member.id)


def save(image: str) -> tuple[str, ...]:
    """A copy of all that the member knows; prints what `snapshot` reads."""
    return ("sh", "-c", _SAVE, "sh", image)


def hand_over() -> tuple[str, ...]:
    """Prints the saved copy and the cluster's keys as a tar, and keeps no copy."""
    return ("sh", "-c", _HAND_OVER)


def read_members(text: str) -> tuple[EtcdMember, ...]:
    """From lines as `8e9e05c52164694d, started, node-0, https://10.0.0.1:2380, https://10.0.0.1:2379, false`."""
    found = []
    for line in text.splitlines():
        id_, _, name, *_ = [*line.split(", "), "", "", ""]
        if not _MEMBER.fullmatch(id_):
            raise ClusterError("etcd did not answer with its members", evidence=clean(text, 300))
        found.append(EtcdMember(id=id_, name=clean(name, 253)))
    return tuple(found)


def read_snapshot(text: str) -> Snapshot:
    """From lines as `"Revision" : 4321`."""
    said = dict(line.replace('"', "").replace(" ", "").split(":", 1) for line in text.splitlines() if ":" in line)
    return Snapshot(revision=_number(said, "Revision"), size=_number(said, "Size"))


def restore(name: str, address: IPv4Address) -> str:
    """For sh, after `TOOL`: the only member, of this name, with what the snapshot remembers."""
    peer = f"https://{address}:{PEER_PORT}"
    return f"""\
rm -rf {WORK}/restored
for program in etcdutl etcdctl; do
    ! tool $program snapshot restore /copies/snapshot.db --data-dir=/copies/restored --name={name} \\
        --initial-cluster={name}={peer} --initial-advertise-peer-urls={peer} || break
done
mkdir -p {DATA}
find {DATA} -mindepth 1 -delete
cp -a {WORK}/restored/. {DATA}
chmod 700 {DATA}
"""


def _number(said: Mapping[str, str], key: str) -> int:
    if not (text := said.get(key, "")).isdecimal():
        raise ClusterError("etcd does not say what its snapshot holds", evidence=clean(repr(dict(said)), 300))
    return int(text)

"""What the genuine program takes on its command line and in config.yaml, and refuses with the same words.

k3s: pkg/cli/cmds/{server,agent}.go, pkg/configfilearg/parser.go: each key of the file becomes a flag.
RKE2: pkg/cli/cmds/server.go, which drops some of them.
"""

from pathlib import Path

import yaml

BOTH = {
    "config", "debug", "data-dir", "token", "token-file", "server", "node-name", "with-node-id", "node-label",
    "node-taint", "node-ip", "node-external-ip", "resolv-conf", "kubelet-arg", "kube-proxy-arg", "private-registry",
    "snapshotter", "selinux", "lb-server-port", "protect-kernel-defaults", "container-runtime-endpoint",
    "default-runtime", "image-credential-provider-bin-dir", "image-credential-provider-config",
    "disable-default-registry-endpoint",
}  # fmt: skip
K3S_ALONE = {
    "flannel-iface",
    "flannel-conf",
    "flannel-cni-conf",
    "docker",
    "pause-image",
    "prefer-bundled-bin",
    "rootless",
}
SERVER = BOTH | {
    "bind-address", "advertise-address", "tls-san", "tls-san-security", "cluster-cidr", "service-cidr",
    "service-node-port-range", "cluster-dns", "cluster-domain", "write-kubeconfig", "write-kubeconfig-mode",
    "write-kubeconfig-group", "agent-token", "agent-token-file", "cluster-reset", "cluster-reset-restore-path",
    "kube-apiserver-arg", "etcd-arg", "kube-controller-manager-arg", "kube-scheduler-arg", "datastore-endpoint",
    "etcd-expose-metrics", "etcd-disable-snapshots", "etcd-snapshot-name", "etcd-snapshot-schedule-cron",
    "etcd-snapshot-retention", "etcd-snapshot-dir", "etcd-snapshot-compress", "disable", "disable-scheduler",
    "disable-cloud-controller", "disable-kube-proxy", "disable-apiserver", "disable-controller-manager",
    "disable-etcd", "system-default-registry", "egress-selector-mode", "secrets-encryption", "embedded-registry",
    "supervisor-metrics",
}  # fmt: skip
K3S_SERVER = {
    "https-listen-port", "advertise-port", "cluster-init", "flannel-backend", "flannel-ipv6-masq",
    "default-local-storage-path", "disable-network-policy", "disable-helm-controller", "servicelb-namespace",
}  # fmt: skip
RKE2_SERVER = {"cni", "ingress-controller", "enable-servicelb"}
LISTS = {
    "tls-san",
    "kube-apiserver-arg",
    "disable",
    "node-label",
    "node-taint",
    "kubelet-arg",
    "kube-proxy-arg",
    "etcd-arg",
}
SWITCHES = {"cluster-init", "cluster-reset", "debug", "selinux", "etcd-disable-snapshots"}
DISABLED = {
    "k3s": {"coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"},
    "rke2": {"rke2-coredns", "rke2-metrics-server", "rke2-snapshot-controller", "rke2-ingress-nginx"},
}


class RefusedError(Exception):
    pass


def known(program: str, verb: str) -> set[str]:
    if verb == "agent":
        return BOTH | (K3S_ALONE if program == "k3s" else set())
    return SERVER | (K3S_ALONE | K3S_SERVER if program == "k3s" else RKE2_SERVER)


def parse(program: str, verb: str, argv: list[str]) -> dict[str, object]:
    """The file's keys, then the command line's over them."""
    path, found = f"/etc/rancher/{program}/config.yaml", dict[str, object]()
    flags = known(program, verb)
    try:
        content = yaml.safe_load(Path(path).read_text()) or {}
    except FileNotFoundError:
        content = {}
    except yaml.YAMLError as error:
        raise RefusedError(f"{path}: {error}") from error
    for key, value in content.items():
        _take(found, flags, str(key), value)
    for word in argv:
        key, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--"):
            raise RefusedError(f"unexpected argument {word}")
        _take(found, flags, key, value if equals else True)
    strange = set(found.get("disable", [])) - DISABLED[program]  # type: ignore[call-overload]
    if strange:
        raise RefusedError(f"invalid value {sorted(strange)} for --disable")
    return found


def _take(found: dict[str, object], flags: set[str], key: str, value: object) -> None:
    if key not in flags:
        raise RefusedError(f"Incorrect Usage: flag provided but not defined: -{key}")
    if isinstance(value, list) != (key in LISTS) and key not in LISTS:
        raise RefusedError(f"flag -{key} is given more than once")
    if (key in SWITCHES) != (str(value).lower() in ("true", "false")):
        raise RefusedError(f"invalid value {value!r} for flag -{key}")
    if key in LISTS:
        found[key] = [*found.get(key, []), *(value if isinstance(value, list) else [value])]  # type: ignore[misc]
    else:
        found[key] = str(value).lower() == "true" if key in SWITCHES else value

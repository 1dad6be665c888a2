"""The texts of a node's files: what containerd, kubelet, the kernel and the network read."""

from importlib import resources

from appliance.kubernetes.cluster import Cluster

ROUTES = "innervate-pod-network.service"
POD_NETWORK = "/usr/local/lib/innervate/pod-network"
ROUTING = f"""\
[Unit]
Description=Addresses of this node's pods, and routes to those of the other nodes
Wants=network-online.target
After=network-online.target

[Service]
ExecStart=sh {POD_NETWORK}
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
"""
MODULES = "br_netfilter\noverlay\n"
SYSCTL = "/etc/sysctl.d/90-kubernetes.conf"
SYSCTLS = """\
net.bridge.bridge-nf-call-ip6tables = 1
net.bridge.bridge-nf-call-iptables = 1
net.ipv4.ip_forward = 1
"""
KUBELET = """\
[Unit]
Description=Kubernetes node agent
Wants=network-online.target
After=network-online.target containerd.service

[Service]
ExecStart=/usr/local/bin/kubelet
Restart=always
StartLimitInterval=0
RestartSec=2

[Install]
WantedBy=multi-user.target
"""
# Paths and variables are kubeadm's: it writes the environment file, and starts the unit when there is something to run.
KUBEADM = """\
[Unit]
ConditionPathExists=/var/lib/kubelet/config.yaml

[Service]
Environment="KUBELET_BOOTSTRAP=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf"
Environment="KUBELET_CONFIG=--kubeconfig=/etc/kubernetes/kubelet.conf --config=/var/lib/kubelet/config.yaml"
EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env
EnvironmentFile=-/etc/default/kubelet
ExecStart=
ExecStart=/usr/local/bin/kubelet $KUBELET_BOOTSTRAP $KUBELET_CONFIG $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS
"""
_CONTAINERD = """\
version = 2

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"""


def containerd(cluster: Cluster) -> str:
    return _CONTAINERD.format(pause=f"{cluster.registry.prefix}/pause:{cluster.tags['pause']}")


def hosts(cluster: Cluster) -> str:
    """https://github.com/containerd/containerd/blob/main/docs/hosts.md"""
    return f"/etc/containerd/certs.d/{cluster.registry.endpoint}"


def registry(cluster: Cluster) -> str:
    """Twice the same: a host that has not got an image is not believed, and the server is asked, which is that host."""
    url = f"{cluster.registry.scheme}://{cluster.registry.endpoint}"
    authority = f'ca = "{hosts(cluster)}/ca.crt"\n' if cluster.registry.authority else ""
    how = f'capabilities = ["pull", "resolve"]\n{authority}'
    return f'server = "{url}"\n{how}\n[host."{url}"]\n{how}'


def pod_network() -> str:
    """https://www.cni.dev/docs/spec/#section-1-network-configuration-format is what it writes."""
    return (resources.files("templates") / "cluster" / "pod-network").read_text()

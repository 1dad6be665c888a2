"""What every node runs: container runtime, kubelet, kube-proxy, and the pods' network."""

import ipaddress
import json
import subprocess
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import certs
import yaml
from api import Api, kubeconfig
from processes import Children

SOCKET = "/run/k3s/containerd/containerd.sock"
PAUSE = "docker.io/rancher/mirrored-pause:3.2"
_ROUTES = "78"  # the protocol number of our routes, ip-route(8)
_CONTAINERD = """\
version = 2
root = "{agent}/containerd"
state = "/run/k3s/containerd"

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{pause}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{bins}/cni"
    conf_dir = "{agent}/etc/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
      BinaryName = "{bins}/runc"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{agent}/etc/containerd/certs.d"
"""


class Node:
    """`api` is where this node finds the API servers."""

    def __init__(self, program: str, config: dict[str, Any], children: Children, bins: Path, api: str) -> None:
        self.name, self.address = str(config["node-name"]), str(config["node-ip"])
        self.agent, self.etc = Path(f"/var/lib/rancher/{program}/agent"), Path(f"/etc/rancher/{program}")
        self.children, self.bins, self.api = children, bins, api

    def start(self, dns: str, pods: str) -> None:
        """Its certificates are below `agent` already."""
        self._runtime()
        self._kubelet(dns)
        client = kubeconfig(self.api, self.agent / "server-ca.crt", self.agent / "client-kube-proxy")
        certs.write(self.agent / "kubeproxy.kubeconfig", client.encode())
        proxy = f"--kubeconfig={self.agent}/kubeproxy.kubeconfig"
        more = ("--proxy-mode=iptables", "--conntrack-max-per-core=0", f"--cluster-cidr={pods}")
        self.children.start("kube-proxy", "kube-proxy", proxy, f"--hostname-override={self.name}", *more, again=True)

    def follow(self) -> None:
        """The pods' network as the cluster has it now: this node's share, routes to those of others."""
        kubelet = Api(self.api, self.agent / "server-ca.crt", self.agent / "client-kubelet")
        wanted = {}
        for node in kubelet.ask("GET", "/api/v1/nodes")["items"]:
            share = node["spec"].get("podCIDR")
            address = next((a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP"), "")
            if share and node["metadata"]["name"] == self.name:
                self._share(share)
            elif share and address:
                wanted[share] = address
        for share, address in wanted.items():
            _ip("route", "replace", share, "via", address, "proto", _ROUTES)
        for line in _ip("route", "show", "proto", _ROUTES).splitlines():
            if line.split()[0] not in wanted:
                _ip("route", "del", line.split()[0], "proto", _ROUTES)

    def _runtime(self) -> None:
        etc = self.agent / "etc/containerd"
        text = _CONTAINERD.format(agent=self.agent, socket=SOCKET, pause=PAUSE, bins=self.bins)
        certs.write(etc / "config.toml", text.encode(), 0o644)
        self._registries(etc / "certs.d")
        Path("/run/k3s/containerd").mkdir(parents=True, exist_ok=True)
        self.children.start("containerd", "containerd", "--config", str(etc / "config.toml"))
        self.children.until(Path(SOCKET).exists, "containerd", 60)
        for tar in sorted((self.agent / "images").glob("*.tar*")):
            ctr = ("ctr", "--address", SOCKET, "--namespace", "k8s.io", "images", "import", str(tar))
            self.children.run(*ctr, seconds=300)

    def _registries(self, folder: Path) -> None:
        """registries.yaml as containerd wants to be told: https://docs.k3s.io/installation/private-registry."""
        stated = self.etc / "registries.yaml"
        said = yaml.safe_load(stated.read_text()) if stated.exists() else {}
        if strange := set(said) - {"mirrors", "configs"}:
            raise SystemExit(f"registries.yaml: field {sorted(strange)[0]} not found in type registries.Registry")
        for host, mirror in said.get("mirrors", {}).items():
            lines = [f'server = "https://{host}"']
            for endpoint in mirror["endpoint"]:
                lines += [f'[host."{endpoint}"]', 'capabilities = ["pull", "resolve"]']
                tls = said.get("configs", {}).get(urllib.parse.urlsplit(endpoint).netloc, {}).get("tls", {})
                if "ca_file" in tls:
                    lines.append(f'ca = "{tls["ca_file"]}"')
            certs.write(folder / host / "hosts.toml", ("\n".join(lines) + "\n").encode(), 0o644)

    def _kubelet(self, dns: str) -> None:
        client = kubeconfig(self.api, self.agent / "server-ca.crt", self.agent / "client-kubelet")
        certs.write(self.agent / "kubelet.kubeconfig", client.encode())
        certs.write(self.agent / "etc/resolv.conf", b"nameserver 8.8.8.8\n", 0o644)
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": "systemd",
            "failSwapOn": False,
            "clusterDomain": "cluster.local",
            "clusterDNS": [dns] if dns else [],
            "resolvConf": str(self.agent / "etc/resolv.conf"),
            "authentication": {"x509": {"clientCAFile": str(self.agent / "client-ca.crt")}},
            "tlsCertFile": str(self.agent / "serving-kubelet.crt"),
            "tlsPrivateKeyFile": str(self.agent / "serving-kubelet.key"),
        }
        certs.write(self.agent / "etc/kubelet.json", json.dumps(config).encode(), 0o644)
        self.children.start(
            "kubelet",
            "kubelet",
            f"--config={self.agent}/etc/kubelet.json",
            f"--kubeconfig={self.agent}/kubelet.kubeconfig",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{SOCKET}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
        )

    def _share(self, share: str) -> None:
        ranges = [[{"subnet": str(ipaddress.ip_network(share))}]]
        ipam = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "hairpinMode": True,
            "ipMasq": True,
            "ipam": ipam,
        }
        portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
        text = json.dumps({"cniVersion": "0.4.0", "name": "cbr0", "plugins": [bridge, portmap]})
        path = self.agent / "etc/cni/net.d/10-flannel.conflist"
        if not path.exists() or path.read_text() != text:
            certs.write(path, text.encode(), 0o644)


def _ip(*argv: str) -> str:
    return subprocess.run(["ip", *argv], capture_output=True, text=True, check=False).stdout

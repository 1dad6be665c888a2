"""Artifact sets of stand-ins for k3s and RKE2, made of the set `kubernetes`: nobody can get the genuine ones here.

What is behind the stand-in is real: see `standin/__main__.py`. What it shows is that files, order, words and life are
as documented; not that a genuine program agrees.
"""

import io
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from appliance.kubernetes.flavour import Flavour
from appliance.lab.demo import IMAGES
from images.artifact_set import LAYOUT, ArtifactSet, Provenance
from images.kubernetes import binaries
from images.oci import reading
from images.oci.document import Settings
from images.oci.layout import MARKER, Layout
from images.set_folder import SetFolder
from images.set_making import describe, write_description
from images.store import Store
from tests.cluster.conftest import Artifacts
from tests.cluster.later import renamed

_HERE = Path(__file__).with_name("standin")
_KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler", "kubectl", "kubelet")
_NEWER = ("kubectl", "kubelet")
_RUNTIME = ("containerd", "containerd-shim-runc-v2", "ctr")
_CNI = ("bridge", "host-local", "loopback", "portmap")
_MODULES = ("_cffi_backend.cpython-311-x86_64-linux-gnu.so", "_yaml", "cffi", "cryptography", "yaml")
_LIBC = ("libc.so", "libm.so", "libdl.so", "libpthread.so", "librt.so", "ld-linux")
_LEFT_OUT = ("__pycache__", "config-*", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "tkinter")
_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin"}
_NAMES = {"pause": "rancher/mirrored-pause:3.2", "etcd": "rancher/mirrored-coredns-coredns:1.8.0"}
_OFFSET = 4096


def standin_set(
    artifacts: Artifacts, flavour: Flavour, folder: Path, *, tars: bool = False, version: str = binaries.VERSION
) -> ArtifactSet:
    """In `folder`, which is made. `tars`: images as files for each node, not for the registry."""
    tree = folder.with_name(f".{folder.name}")
    _programs(artifacts, tree, version)
    folder.mkdir(parents=True)
    program = _self_extracting(flavour, tree, folder.with_name(f".{folder.name}.program"))
    shutil.rmtree(tree)
    roles = {_put(flavour, program, folder): flavour.program}
    images = Layout.create(tree.with_suffix(".images") if tars else folder / LAYOUT)
    for name, under in _NAMES.items():
        found = next(one for one in artifacts.set.images if one.repository == f"k8s/{name}")
        settings = Settings(entrypoint=("/pause", "-P")) if name == "pause" else Settings(environment=_ENVIRONMENT)
        images.add_image(under, images.adopt(artifacts.folder / LAYOUT, found.name), settings)
        if tars:
            tar = folder / f"{flavour.program}-images-{name}.tar"
            _pack(images.folder, tar, f"docker.io/{under}")
            roles[tar.name] = "images"
    with closing(SetFolder(folder)) as opened:
        described = describe(
            opened,
            engine=flavour.engine,
            version=version,
            arch="amd64",
            provenance=Provenance.STAND_IN,
            roles=roles,
        )
    write_description(folder, described)
    return described


def _pack(layout: Path, tar: Path, name: str) -> None:
    """An image layout as a tar, which names its image as containerd's own export does: in full."""
    index = layout / reading.INDEX
    document = json.loads(index.read_text())
    short = name.removeprefix("docker.io/")
    document["manifests"] = [
        {**one, "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}}
        for one in document["manifests"]
        if one["annotations"]["org.opencontainers.image.ref.name"] == short
    ]
    assert document["manifests"], short
    with tarfile.open(tar, "w") as out:
        out.add(layout / MARKER, MARKER)
        out.add(layout / reading.BLOBS, reading.BLOBS)
        member, data = tarfile.TarInfo(reading.INDEX), json.dumps(document).encode()
        member.size = len(data)
        out.addfile(member, io.BytesIO(data))


def _put(flavour: Flavour, program: Path, folder: Path) -> str:
    """As the genuine set has it: a program, or one in a tar."""
    if not flavour.archive:
        shutil.move(program, folder / flavour.program)
        return flavour.program
    name = f"{flavour.program}.linux-amd64.tar.gz"
    with tarfile.open(folder / name, "w:gz", compresslevel=1) as tar:
        tar.add(program, f"bin/{flavour.program}")
    program.unlink()
    return name


def _programs(artifacts: Artifacts, tree: Path, version: str) -> None:
    store, bins = Store(IMAGES), tree / "bin"
    recipe = binaries.binaries_recipe()
    entry = store.find(recipe.name, recipe.key)
    assert entry is not None, "the set was made of them"
    bins.mkdir(parents=True)
    for name in _KUBERNETES:
        content = store.path_of(entry.artifact(name).sha256).read_bytes()
        (bins / name).write_bytes(content if version == binaries.VERSION else renamed(content))
    for file in artifacts.set.of_role("package"):
        if not file.name.startswith(("perl", "libperl", "libsnmp", "pci", "keepalived", "libsensors", "libgdbm")):
            subprocess.run(["dpkg-deb", "-x", artifacts.folder / file.name, bins / "aux"], check=True)
    for name in _RUNTIME:
        shutil.move(bins / "aux/usr/bin" / name, bins / name)
    shutil.move(bins / "aux/usr/sbin/runc", bins / "runc")
    (bins / "cni").mkdir()
    for name in _CNI:
        shutil.move(bins / "aux/usr/lib/cni" / name, bins / "cni" / name)
    shutil.rmtree(bins / "aux/usr/share")
    for name in ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore"):
        link = bins / "aux/usr/sbin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("xtables-nft-multi")
    _etcd(artifacts, bins)
    for path in bins.iterdir():
        if path.is_file():
            path.chmod(0o755)
    _python(tree / "python")
    shutil.copytree(_HERE, tree / "standin", ignore=shutil.ignore_patterns("__pycache__", "head.sh"))
    (tree / "version").write_text(version)


def _etcd(artifacts: Artifacts, bins: Path) -> None:
    found = next(one for one in artifacts.set.images if one.repository == "k8s/etcd")
    for layer in reading.layers(artifacts.folder / LAYOUT, found.name):
        blob = artifacts.folder / LAYOUT / reading.path_of(layer.blob)
        argv = ("tar", "-C", bins, "--zstd", "--strip-components=2", "--wildcards", "-xf", blob, "usr/bin/etcd*")
        subprocess.run(argv, check=False, capture_output=True)
    assert (bins / "etcdctl").exists()


def _python(tree: Path) -> None:
    """This interpreter, with what it is linked to: nodes have none."""
    standard = Path(sysconfig.get_paths()["stdlib"])
    lib = tree / "lib/python3.11"
    shutil.copytree(standard, lib, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    site, own = lib / "site-packages", Path(sysconfig.get_paths()["purelib"])
    site.mkdir()
    for name in _MODULES:
        if (own / name).is_dir():
            shutil.copytree(own / name, site / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(own / name, site / name)
    (tree / "bin").mkdir()
    shutil.copy(Path(sys.executable).resolve(), tree / "bin/python3")
    linked = [tree / "bin/python3", *(lib / "lib-dynload").glob("*.so"), *site.rglob("*.so")]
    said = subprocess.run(("ldd", *linked), capture_output=True, text=True, check=False).stdout
    for line in said.splitlines():
        name, arrow, path = line.strip().partition(" => ")
        target = tree / "lib" / name
        if arrow and path.startswith("/") and not name.startswith(_LIBC) and not target.exists():
            shutil.copy(path.partition(" ")[0], target)


def _self_extracting(flavour: Flavour, tree: Path, target: Path) -> Path:
    """Its head and, behind it, the tree: of the same content it has the same bytes."""
    packed = target.with_suffix(".tar.zst")
    form = ("--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner")
    argv = ("tar", "-C", tree, *form, "-I", "zstd -q -1 -T2", "-cf", packed, ".")
    subprocess.run(argv, check=True)
    hash_ = sha256(packed.read_bytes()).hexdigest()
    head = (_HERE / "head.sh").read_text()
    for name, value in (("PROGRAM", flavour.program), ("HASH", hash_), ("OFFSET", str(_OFFSET + 1))):
        head = head.replace(f"@{name}@", value)
    assert len(head) < _OFFSET
    with target.open("wb") as out, packed.open("rb") as rest:
        out.write(head.ljust(_OFFSET - 1, "\n").encode() + b"\n")
        shutil.copyfileobj(rest, out)
    packed.unlink()
    target.chmod(0o755)
    return target

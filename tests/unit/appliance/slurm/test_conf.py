"""A cluster's configuration, as golden files; and machines as Slurm counts them. That Slurm takes it: tests/cluster."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.errors import SiteError
from appliance.inventory.gpus import AMD, NVIDIA, parse_gpus
from appliance.model.cluster import ClusterName, SetRef
from appliance.model.hardware import Gpu, HardwareFacts
from appliance.model.ids import MachineName
from appliance.model.slurm import Gpus, SlurmHome, SlurmHost, SlurmNode, SlurmPartition, SlurmSpec
from appliance.slurm import conf
from appliance.slurm.hardware import node_of, usable
from images.agent.fields import Json
from images.engine import Engine
from tests.unit.appliance.store.samples import FACTS

GOLDEN = Path(__file__).parents[3] / "golden/slurm"
GIB = 1 << 30
FIRST, SECOND = (
    SlurmHost(name=MachineName(f"head-{at}"), address=IPv4Address(f"10.77.0.{10 + at}")) for at in range(2)
)
HOME = SlurmHome(
    name=ClusterName("hpc"),
    set=SetRef(name="slurm-24.11.5-4-amd64", engine=Engine.SLURM, version="24.11.5-4", sha256="a" * 64),
    controllers=(FIRST,),
)
NODES = (
    SlurmNode(
        name=MachineName("gpu-0"),
        address=IPv4Address("10.77.0.20"),
        sockets=2,
        cores=16,
        threads=2,
        memory=182_000,
        gpus=Gpus(kind="tesla_t4", files=("/dev/nvidia0", "/dev/nvidia1")),
    ),
    SlurmNode(
        name=MachineName("cpu-0"), address=IPv4Address("10.77.0.21"), sockets=1, cores=8, threads=1, memory=30_000
    ),
)
SPEC = SlurmSpec(
    home=HOME,
    nodes=NODES,
    partitions=(
        SlurmPartition(name="all", nodes=(NODES[0].name, NODES[1].name), default=True),
        SlurmPartition(name="gpu", nodes=(NODES[0].name,), minutes=240),
    ),
    state="/var/lib/slurm/slurmctld",
)


def _golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        pytest.fail(f"{path} was written: read it, then run again")
    assert text == path.read_text()


def test_one_controller() -> None:
    _golden("slurm.conf", conf.slurm_conf(SPEC))
    _golden("gres.conf", conf.gres_conf(SPEC))
    _golden("cgroup.conf", conf.CGROUP)
    _golden("slurmd", conf.slurmd_options(HOME))


def test_a_second_controller_and_no_gpus() -> None:
    home = replace(HOME, controllers=(FIRST, SECOND))
    plain = replace(SPEC.partitions[0], nodes=(NODES[1].name,))
    spec = replace(SPEC, home=home, nodes=NODES[1:], partitions=(plain,), state="/shared/slurm")
    _golden("backup-slurm.conf", conf.slurm_conf(spec))
    assert "File=" not in conf.gres_conf(spec)
    assert '"--conf-server 10.77.0.10:6817,10.77.0.11:6817"' in conf.slurmd_options(home)


def facts(**changes: object) -> HardwareFacts:
    return replace(FACTS, **changes)  # type: ignore[arg-type]


def gpu(vendor: str = NVIDIA, model: str = "TU104GL [Tesla T4]", at: int = 0) -> Gpu:
    return Gpu(vendor=vendor, device="1eb8", bus=f"0000:3b:00.{at}", model=model)


@pytest.mark.parametrize(
    ("sockets", "cores", "threads", "counted"),
    [
        pytest.param(2, 32, 64, (2, 16, 2), id="two sockets with two threads a core"),
        pytest.param(1, 8, 8, (1, 8, 1), id="one thread a core"),
        pytest.param(0, 4, 0, (1, 4, 1), id="an agent of before said neither"),
        pytest.param(2, 9, 18, (1, 9, 1), id="sockets that are not alike"),
        pytest.param(1, 14, 20, (1, 14, 1), id="cores of two kinds"),
        pytest.param(4, 2, 2, (1, 2, 1), id="firmware that counts slots"),
    ],
)
def test_processors_as_slurm_counts_them(sockets: int, cores: int, threads: int, counted: tuple[int, int, int]) -> None:
    found = node_of(NODES[0].name, NODES[0].address, facts(sockets=sockets, cores=cores, threads=threads), gpus=True)
    assert found is not None
    assert (found.sockets, found.cores, found.threads) == counted
    assert found.cpus <= max(cores, threads), "never more than there are"


@pytest.mark.parametrize(
    ("memory", "left"),
    [
        (256 * GIB, 249_037),
        (4 * GIB, 3584),
        (512 << 20, 256),
    ],
)
def test_the_system_keeps_memory_of_its_own(memory: int, left: int) -> None:
    assert usable(memory) == left


def test_a_machine_of_which_nothing_is_known_is_no_node() -> None:
    assert node_of(NODES[0].name, NODES[0].address, facts(cores=0), gpus=True) is None
    assert node_of(NODES[0].name, NODES[0].address, facts(memory_bytes=0), gpus=True) is None


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        pytest.param((), None, id="none"),
        pytest.param((gpu(), gpu(at=1)), Gpus(kind="tesla_t4", files=("/dev/nvidia0", "/dev/nvidia1")), id="two alike"),
        pytest.param(
            (gpu(), gpu(model="GA100 [A100 PCIe 80GB]", at=1)),
            Gpus(kind="", files=("/dev/nvidia0", "/dev/nvidia1")),
            id="not alike: nobody knows which is which",
        ),
        pytest.param(
            (gpu(vendor=AMD, model="Aldebaran/MI200 [Instinct MI210]"),),
            Gpus(kind="instinct_mi210", files=("/dev/dri/renderD128",)),
            id="AMD",
        ),
        pytest.param(
            (gpu(model="<script>\u202e"),), Gpus(kind="script", files=("/dev/nvidia0",)), id="a name that is no name"
        ),
    ],
)
def test_gpus_as_files(found: tuple[Gpu, ...], wanted: Gpus | None) -> None:
    node = node_of(NODES[0].name, NODES[0].address, facts(gpus=found), gpus=True)
    assert node is not None
    assert node.gpus == wanted
    without = node_of(NODES[0].name, NODES[0].address, facts(gpus=found), gpus=False)
    assert without is not None
    assert without.gpus is None


def card(**changes: Json) -> Json:
    whole: dict[str, Json] = {
        "class": "display",
        "businfo": "pci@0000:3b:00.0",
        "vendor": "NVIDIA Corporation [10DE]",
        "product": "TU104GL [Tesla T4] [10DE:1EB8]",
    }
    return {**whole, **changes}


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        pytest.param(None, (), id="lshw said nothing"),
        pytest.param({"id": "computer", "children": [{"children": [card()]}]}, (gpu(),), id="below a bridge"),
        pytest.param([card(), card()], (gpu(),), id="the same place twice"),
        pytest.param(card(vendor="ASPEED Technology, Inc. [1A03]"), (), id="a BMC's graphics"),
        pytest.param(card(businfo="usb@1:2"), (), id="not on PCI"),
        pytest.param(card(product=7), (), id="nonsense"),
        pytest.param({**card(), "class": "multimedia"}, (), id="its sound"),  # type: ignore[dict-item]
    ],
)
def test_gpus_in_lshws_tree(tree: Json, found: tuple[Gpu, ...]) -> None:
    assert parse_gpus(tree) == found


def test_values_refuse_what_would_be_another_line() -> None:
    for wrong in ({"name": "a b"}, {"name": "a\nSlurmUser=root"}, {"sockets": 0}):
        with pytest.raises(SiteError):
            replace(NODES[0], **wrong)  # type: ignore[arg-type]
    with pytest.raises(SiteError):
        replace(SPEC, state="relative")
    with pytest.raises(SiteError):
        replace(HOME, controllers=())
    with pytest.raises(SiteError):
        Gpus(kind="", files=("/dev/nvidia0 Count=9",))

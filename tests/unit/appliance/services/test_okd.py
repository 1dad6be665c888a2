"""What was made for an OKD cluster, who gets it and until when; the release's programs; the names of clusters."""

import asyncio
from pathlib import Path

import pytest

from appliance.errors import ClusterError, MachineryError
from appliance.model.cluster import ClusterName
from appliance.model.ids import ImageName, Nonce
from appliance.model.ignition import parse
from appliance.model.okd import OkdHost, OkdRole
from appliance.okd.serving import records
from appliance.plan import AnswerKind, DiskRef, InstallerRef, RunInstaller
from appliance.services.names import NamesDesk
from appliance.services.okd_given import OkdGiven
from appliance.services.okd_keys import Made, OkdKeys
from appliance.services.okd_programs import OkdPrograms, Tools
from appliance.store.secrets import SecretFile
from appliance.system import SystemRng
from images.processes import HostProcesses
from pxe.dns.responder import ZoneRecord
from tests.okd.sets import stand_in_set
from tests.unit.appliance.okd.samples import BOOTSTRAP, FULL, PLANES, WORKERS
from tests.unit.appliance.okd.test_rendering import WHOLE, pointer

PROD, HOUR = ClusterName("prod"), 3600.0
TREE = {
    "bootstrap.ign": WHOLE,
    "master.ign": pointer("master").reveal(),
    "worker.ign": pointer("worker").reveal(),
    "auth/kubeconfig": "secret of the cluster",
}


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


def keys(folder: Path) -> OkdKeys:
    file = SecretFile(folder / "okd.vault", SystemRng())
    kept = OkdKeys(file)
    file.close()
    return kept


def run_for(host: OkdHost) -> RunInstaller:
    scos = InstallerRef(
        name=ImageName("scos"),
        answers=AnswerKind.SCOS,
        kernel_sha256="a2" * 32,
        initrd_sha256="a3" * 32,
        files_sha256="a4" * 32,
        raw_bytes=1,
    )
    disk = DiskRef(serial=host.serial, wwn=host.wwn, size_bytes=1, contents="blank")
    return RunInstaller(installer=scos, disk=disk, hostname=host.name, domain="lab.test", authorized_keys=(), okd=FULL)


def test_what_was_made_is_sealed_and_there_after_a_restart(tmp_path: Path) -> None:
    keys(tmp_path).keep(Made(spec=FULL, made=1000.0, tree=TREE))
    again = keys(tmp_path).of(PROD)
    assert again == Made(spec=FULL, made=1000.0, tree=TREE)
    assert "secret of the cluster" not in repr(again)
    assert b"secret of the cluster" not in (tmp_path / "okd.vault").read_bytes()


@pytest.mark.parametrize("host", [BOOTSTRAP, PLANES[0], WORKERS[0]], ids=["bootstrap", "master", "worker"])
def test_each_machine_is_given_what_is_of_its_role_and_boot(host: OkdHost, tmp_path: Path) -> None:
    kept, clock = keys(tmp_path), Clock()
    kept.keep(Made(spec=FULL, made=clock.time, tree=TREE))
    files = OkdGiven(kept, clock).files(run_for(host), Nonce("5e" * 16), "http://10.77.0.1")
    assert set(files) == {"live.ign", "config.ign"}
    config = parse(files["config.ign"].decode(), "config.ign")
    merged = config.ignition.config.merge[0].source or ""
    assert merged.startswith("data:") if host is BOOTSTRAP else merged.endswith(f"/config/{host.role.value}")


def test_what_is_older_than_twelve_hours_is_given_to_nobody_until_the_cluster_holds_itself(tmp_path: Path) -> None:
    kept, clock = keys(tmp_path), Clock()
    given = OkdGiven(kept, clock)
    kept.keep(Made(spec=FULL, made=clock.time, tree=TREE))
    clock.time += 13 * HOUR
    for host in (BOOTSTRAP, PLANES[0]):
        with pytest.raises(ClusterError, match=r"13\.0 hours old"):
            given.files(run_for(host), Nonce("5e" * 16), "http://10.77.0.1")
    made = kept.of(PROD)
    assert made is not None
    assert not made.is_fresh(clock.time)
    kept.start(PROD)
    assert given.files(run_for(WORKERS[0]), Nonce("5e" * 16), "http://10.77.0.1"), (
        "its pointer names an authority alone"
    )


def test_nothing_is_given_that_was_never_made(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no Ignition was made for a worker of prod"):
        keys(tmp_path).given(FULL, OkdRole.WORKER, 1000.0)


def test_the_release_s_programs_make_the_tree_and_nothing_of_it_stays_behind(tmp_path: Path) -> None:
    """As processes, from a set's files, which nobody has made executable."""
    described = stand_in_set(tmp_path / "set")
    for name in ("openshift-install", "oc"):
        (tmp_path / "set" / name).chmod(0o600)
    tools = Tools(installer=tmp_path / "set/openshift-install", oc=tmp_path / "set/oc")
    programs = OkdPrograms(HostProcesses(), tmp_path / "work")
    assert described.version in programs.version(tools).split()
    config = '{"apiVersion": "v1", "unknown": 1}'
    with pytest.raises(ClusterError, match="openshift-install create manifests refuses") as caught:
        programs.ignition(tools, FULL, config)
    assert "unknown field" in caught.value.evidence
    assert list((tmp_path / "work").iterdir()) == []


def test_names_of_clusters_stay_and_are_told_again(tmp_path: Path) -> None:
    told: list[tuple[ZoneRecord, ...]] = []
    again: list[tuple[ZoneRecord, ...]] = []
    asyncio.run(NamesDesk(tmp_path / "names.json", told.append).want("prod", records(FULL)))
    assert told == [(), records(FULL)]
    kept = NamesDesk(tmp_path / "names.json", again.append)
    assert (again, kept.wanted_by("prod")) == ([records(FULL)], records(FULL))
    asyncio.run(kept.want("prod", ()))
    assert again[-1] == ()
    (tmp_path / "names.json").write_text("{")
    with pytest.raises(MachineryError, match="cannot be read"):
        NamesDesk(tmp_path / "names.json", told.append)

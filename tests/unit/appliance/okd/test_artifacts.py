"""Releases, sets and what their files are known as."""

import json
from dataclasses import replace

import pytest

from appliance.errors import PlanError, SiteError
from appliance.model.hardware import Disk
from appliance.model.ids import MachineName
from appliance.okd.artifacts import OkdFile, artifacts_of, read_stream, strangers
from appliance.okd.catalogue import standing
from appliance.okd.disks import device_of
from appliance.okd.version import OkdVersion
from images.engine import Engine, Provenance
from tests.unit.appliance.okd.samples import VERSION, described


@pytest.mark.parametrize("text", ["4.19.0-okd-scos.10", "4.22.0-okd-scos.ec.3", "5.0.0-okd-scos.0"])
def test_releases_are_read_and_written(text: str) -> None:
    assert str(OkdVersion.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("4.18.0-okd-scos.10", "OKD 4.18 has no boot images of SCOS"),
        ("4.15.0-0.okd-2024-03-10-010116", "no release of OKD on SCOS"),
        ("4.19.3", "no release of OKD on SCOS"),
        ("6.0.0-okd-scos.0", "OKD 6 is not known"),
    ],
    ids=["too old", "Fedora CoreOS", "not OKD", "too new"],
)
def test_other_releases_are_refused(text: str, why: str) -> None:
    with pytest.raises(SiteError, match=why) as caught:
        OkdVersion.parse(text)
    assert caught.value.next_action


def test_a_set_has_all_that_okd_needs() -> None:
    found = artifacts_of(described())
    assert set(found.files) == set(OkdFile)
    assert (found.release.tag, [image.tag for image in found.content]) == (VERSION, ["etcd", "cli"])


def test_all_that_a_set_lacks_is_named() -> None:
    whole = described()
    poor = replace(whole, files=whole.files[1:], images=whole.images[:1])
    with pytest.raises(SiteError) as caught:
        artifacts_of(poor)
    assert caught.value.evidence == (
        "missing: one file with the role openshift-install, not 0; images of the repository okd/scos-content"
    )
    with pytest.raises(SiteError) as caught:
        artifacts_of(replace(whole, engine=Engine.KUBEADM, version="4.20.0-okd-scos.1"))
    assert caught.value.evidence.startswith(
        "missing: engine okd: it is one of kubeadm; the image okd/scos-release:4.20"
    )


def stream(kernel: str = "a2") -> str:
    pxe = {word: {"location": "https://x", "sha256": sha * 32} for word, sha in _FILES.items()} | {
        "kernel": {"location": "https://x", "sha256": kernel * 32}
    }
    metal = {"release": "9.0.20250510-0", "formats": {"pxe": pxe}}
    return json.dumps({"stream": "c9s", "architectures": {"x86_64": {"artifacts": {"metal": metal}}}})


_FILES = {"kernel": "a2", "initramfs": "a3", "rootfs": "a4"}


def test_boot_files_are_those_of_the_stream() -> None:
    found = artifacts_of(described())
    assert strangers(found, read_stream(stream(), "amd64")) == ()
    assert strangers(found, read_stream(stream("ff"), "amd64")) == (
        "scos-live-kernel.x86_64 has SHA-256 a2a2a2a2a2a2, the stream says ffffffffffff",
    )


@pytest.mark.parametrize(
    ("text", "evidence"),
    [
        ("{", "Expecting"),
        ("[]", "no architectures"),
        ('{"architectures": {}}', "no PXE files for metal, x86_64"),
        (stream().replace('"kernel"', '"kern"'), "no SHA-256 of the kernel"),
    ],
    ids=["no JSON", "no stream", "another architecture", "a file less"],
)
def test_what_is_no_stream_is_refused(text: str, evidence: str) -> None:
    with pytest.raises(SiteError) as caught:
        read_stream(text, "amd64")
    assert evidence in caught.value.evidence


def test_a_stand_in_in_a_set_makes_all_of_it_one() -> None:
    assert standing(described(), stand_ins=frozenset({"a0" * 32})).words.startswith("STAND-IN")
    assert standing(described(provenance=Provenance.STAND_IN)).provenance is Provenance.STAND_IN


def test_a_set_is_genuine_when_every_file_is_known() -> None:
    known = {f"a{at}" * 32: VERSION for at in range(5)}
    assert standing(described(), known).words == "genuine: every file is one that is known"
    assert "by the word of whoever made the set" in standing(described(), {"a0" * 32: VERSION}).words
    assert not standing(described(), dict.fromkeys(known, "4.20.0-okd-scos.1")).proven


DISK = Disk(
    name="sda",
    serial="S1",
    wwn="naa.5002538c40712345",
    size_bytes=1 << 40,
    model="SAMSUNG MZ7LM480",
    rotational=False,
    removable=False,
    contents="blank",
)


@pytest.mark.parametrize(
    ("disk", "device"),
    [
        (DISK, "wwn-0x5002538c40712345"),
        (
            replace(DISK, name="nvme0n1", wwn="eui.36344730526012340025384300000001"),
            "nvme-eui.36344730526012340025384300000001",
        ),
        (replace(DISK, name="nvme0n1", wwn=""), "nvme-SAMSUNG_MZ7LM480_S1"),
        (replace(DISK, name="vda", wwn="", serial="DISK-0123456789abcdefghij"), "virtio-DISK-0123456789abcde"),
    ],
    ids=["WWN", "EUI", "NVMe", "virtio"],
)
def test_a_disk_is_named_by_the_link_that_it_will_have(disk: Disk, device: str) -> None:
    assert device_of(MachineName("cp-0"), disk) == f"/dev/disk/by-id/{device}"


def test_a_disk_that_cannot_be_named_beforehand_is_refused() -> None:
    with pytest.raises(PlanError, match="cannot be told which disk is sda"):
        device_of(MachineName("cp-0"), replace(DISK, wwn=""))

"""The files of the first boot are read by what reads them later."""

from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from appliance.bmc.discovery import Dialect, Found
from appliance.config import RamdiskVariant, load
from appliance.errors import UsageError
from appliance.model.secret import Secret
from appliance.setup.answers import Answers
from appliance.setup.files import File, files_of
from appliance.site import load as load_site

KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJd2 "me"\\'
OWN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOwn innervate"
ANSWERS = Answers(
    device="enp1s0",
    address=IPv4Interface("10.9.0.1/24"),
    bmcs=("10.9.1.0/24",),
    user="root",
    password=Secret("calvin"),
    keys=(KEY, KEY),
    rack="r12",
)
FOUND = (
    Found(address=IPv4Address("10.9.1.10"), dialect=Dialect.REDFISH, port=443, fingerprint="ab" * 32),
    Found(address=IPv4Address("10.9.1.11"), dialect=Dialect.IPMI, port=623),
)


def test_the_site_program_is_one(tmp_path: Path) -> None:
    program = tmp_path / "site.py"
    program.write_text(files_of(ANSWERS, FOUND, ramdisk="generic", own_key=OWN)[File.SITE])
    rack = load_site(program).topology
    assert [(server.name, server.bmc.url) for server in rack.servers] == [
        ("node-1", "https://10.9.1.10"),
        ("node-2", "ipmi://10.9.1.11"),
    ]
    assert rack.shell.authorized_keys == (OWN, KEY, KEY)
    assert (rack.name, rack.boot_network.first, rack.boot_network.alone) == ("r12", IPv4Address("10.9.0.128"), False)


@pytest.mark.parametrize("keys", [(), (KEY,)])
def test_a_rack_without_servers_is_one_too(tmp_path: Path, keys: tuple[str, ...]) -> None:
    answers = Answers(device="eth0", address=IPv4Interface("10.77.0.1/24"), bmcs=("10.77.1.1",), keys=keys)
    program = tmp_path / "site.py"
    program.write_text(files_of(answers, (), ramdisk="generic", own_key=OWN)[File.SITE])
    assert load_site(program).topology.servers == ()


def test_the_configuration_is_one(tmp_path: Path) -> None:
    file = tmp_path / "innervate.toml"
    file.write_text(files_of(ANSWERS, FOUND, ramdisk="generic", own_key=OWN)[File.CONFIGURATION])
    settings = load(file)
    assert settings.ramdisk is RamdiskVariant.GENERIC
    assert settings.urls == ("https://10.9.0.1:443", "https://innervate.r12.internal:443")


def test_no_file_holds_the_password() -> None:
    assert not [text for text in files_of(ANSWERS, FOUND, ramdisk="generic", own_key=OWN).values() if "calvin" in text]


def test_the_configuration_is_last_because_it_ends_the_first_boot() -> None:
    assert list(files_of(ANSWERS, FOUND, ramdisk="generic", own_key=OWN))[-1] is File.CONFIGURATION


def test_another_ramdisk_is_refused_when_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "innervate.toml"
    file.write_text(files_of(ANSWERS, FOUND, ramdisk="other", own_key=OWN)[File.CONFIGURATION])
    with pytest.raises(UsageError, match="ramdisk"):
        load(file)

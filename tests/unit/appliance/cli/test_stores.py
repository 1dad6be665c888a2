"""Images, networks and addresses as a person and as a program sees them."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from appliance.api.fake import FakeApplication
from appliance.frontend.words import lease_left
from appliance.model.codec import from_json
from appliance.model.image_views import HashState, ImagesView, ImageView
from appliance.model.network_views import AddressState, LeasesView, LeaseView, NetworksView
from tests.contract.test_api import IMAGE, LEASE, NETWORKS

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def stores(application: FakeApplication) -> None:
    artifacts = (replace(IMAGE.artifacts[0], name="blob\x1b[2J.zst", state=HashState.CHANGED),)
    spoilt = replace(IMAGE, name="ramdisk", state=HashState.CHANGED, artifacts=artifacts, machines=(), served=False)
    application.stores.shelf = [IMAGE, spoilt]
    application.stores.network = NETWORKS
    application.stores.addresses = [LEASE, replace(LEASE, address="10.77.0.52", state=AddressState.DECLINED)]


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def test_images(run: Run) -> None:
    status, out, err = run("image", "ls")
    assert (status, err) == (0, "")
    assert rows(out)[1] == ["debian-13", "ab" * 6, "7", "B", "ef" * 6, "whole", "yes", "1"]
    assert rows(out)[2] == ["ramdisk", "ab" * 6, "7", "B", "ef" * 6, "changed", "-", "-"]
    assert out.splitlines()[-1] == "69 GB are free in the store"
    assert len(from_json(ImagesView, run("image", "ls", "--json")[1]).images) == 2
    assert [json.loads(line)["name"] for line in run("image", "ls", "--ndjson")[1].splitlines()] == [
        "debian-13",
        "ramdisk",
    ]


def test_one_image(run: Run) -> None:
    out = run("image", "show", "ramdisk")[1]
    assert "blob.zst" in out
    assert "\x1b" not in out
    assert "ef" * 32 in out
    assert from_json(ImageView, run("image", "show", "debian-13", "--json")[1]) == IMAGE
    status, _, err = run("image", "show", "windows")
    assert status == 4
    assert "no image is called windows" in err


def test_networks(run: Run) -> None:
    out = run("network", "ls")[1]
    assert rows(out)[1][:5] == ["10.77.0.0/24", "br0", "full,", "stands", "back"]
    assert "3 of 9, 33%" in out
    assert "boot network, since" in out
    assert "other DHCP server 10.77.0.9, heard now: a second server" in out
    assert from_json(NetworksView, run("network", "ls", "--json")[1]) == NETWORKS
    assert len(run("network", "ls", "--ndjson")[1].splitlines()) == 1


def test_leases(run: Run) -> None:
    out = run("network", "leases")[1]
    assert rows(out)[1][:4] == ["10.77.0.51", "bound", "node-0", "52:54:00:00:00:01"]
    assert out.splitlines()[-1] == "2 addresses"
    declined = from_json(LeasesView, run("network", "leases", "--state", "declined", "--json")[1])
    assert [one.address for one in declined.leases] == ["10.77.0.52"]
    assert run("network", "leases", "--network", "10.9.0.0/24", "--ndjson")[1] == ""
    assert len(run("network", "leases", "--ndjson")[1].splitlines()) == 2
    assert run("network", "leases", "--state", "lost")[0] == 2


@pytest.mark.parametrize(
    ("state", "until", "left"),
    [
        (AddressState.BOUND, 70.0, "1m00s"),
        (AddressState.BOUND, None, "for ever"),
        (AddressState.DECLINED, 70.0, "1m00s"),
        (AddressState.EXPIRED, 5.0, ""),
        (AddressState.RELEASED, 70.0, ""),
        (AddressState.RESERVED, None, ""),
    ],
)
def test_what_is_left_of_a_lease(state: AddressState, until: float | None, left: str) -> None:
    assert lease_left(LeaseView(address="a", network="n", state=state, mac="m", until=until), 10.0) == left

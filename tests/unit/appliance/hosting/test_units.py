"""Units as a host gets them: images by digest, nothing fetched when one starts, and every container starts at boot."""

import pytest

from appliance.errors import UsageError
from appliance.hosting.units import service_of, units
from appliance.model.application import AppName
from images.artifact_set import ArtifactSet, Engine, Provenance, SetImage

DIGEST, REGISTRY = f"sha256:{'ab' * 32}", "10.77.0.1:5000"
PACKAGE = ArtifactSet(
    engine=Engine.APPLICATION,
    application="web",
    version="1.0.0",
    arch="amd64",
    provenance=Provenance.GENUINE,
    files=(),
    images=(SetImage(repository="apps/web", tag="1.0.0", digest=DIGEST),),
)
NAME = AppName("web")
BARE = "[Container]\nImage=apps/web:1.0.0\n"


def text(stated: str, file: str = "web.container") -> list[str]:
    (unit,) = units(PACKAGE, {file: stated.encode()}, NAME, REGISTRY)
    return unit.text.splitlines()


def test_a_container() -> None:
    assert text(BARE) == [
        "[Container]",
        "Label=innervate.application=web",
        "Pull=never",
        f"Image={REGISTRY}/apps/web@{DIGEST}",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]


@pytest.mark.parametrize(
    ("stated", "end"),
    [
        ("[Install]\nWantedBy=default.target\n", ["[Install]", "WantedBy=default.target"]),
        (" [Install]\nRequiredBy = front.target\n", [" [Install]", "RequiredBy = front.target"]),
        ("[Install]\nAlias=x.service\n", ["[Install]", "WantedBy=multi-user.target", "Alias=x.service"]),
        ("# WantedBy=default.target\n", ["# WantedBy=default.target", "", "[Install]", "WantedBy=multi-user.target"]),
    ],
    ids=["wanted", "required", "neither", "a comment"],
)
def test_it_starts_at_boot(stated: str, end: list[str]) -> None:
    assert text(BARE + stated)[-len(end) :] == end


def test_what_we_say_ourselves_is_said_once() -> None:
    lines = text(f"{BARE}Pull=always\nPull = newer\nLabel=innervate.application=other\nLabel=tier=front\n")
    assert [line for line in lines if "Pull" in line or "Label" in line] == [
        "Label=innervate.application=web",
        "Pull=never",
        "Label=tier=front",
    ]


@pytest.mark.parametrize(
    ("file", "stated", "section"),
    [("data.volume", "", "[Volume]"), ("data.volume", "[Volume]\n", "[Volume]"), ("lan.network", "", "[Network]")],
)
def test_volumes_and_networks_are_known_by_their_label(file: str, stated: str, section: str) -> None:
    assert [line for line in text(stated, file) if line] == [section, "Label=innervate.application=web"]


@pytest.mark.parametrize(
    ("file", "stated"),
    [
        ("web.container", "[Container]\nImage=apps/other:1.0.0\n"),
        ("web.container", "[Container]\nImage=docker.io/library/nginx\n"),
        ("web.container", "[Container]\n"),
        ("web.container", f"{BARE}AutoUpdate=registry\n"),
        ("web.container", f"{BARE}ContainerName=ssh\n"),
        ("web.kube", "[Kube]\n"),
        ("../web.container", BARE.replace("apps", "\udcff")),
    ],
)
def test_what_no_package_may_hold(file: str, stated: str) -> None:
    with pytest.raises(UsageError) as refused:
        units(PACKAGE, {file: stated.encode(errors="surrogateescape")}, NAME, REGISTRY)
    assert refused.value.evidence
    assert refused.value.next_action


@pytest.mark.parametrize(
    ("file", "service"),
    [
        ("web.container", "web.service"),
        ("web-data.volume", "web-data-volume.service"),
        ("lan.network", "lan-network.service"),
    ],
)
def test_as_systemd_calls_it(file: str, service: str) -> None:
    assert service_of(file) == service

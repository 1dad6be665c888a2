"""Units of podman: kept, with images of the set and nothing that others could change."""

import pytest

from images.application.quadlet import check_smoke, name_of, named
from images.errors import PackageError

NAMES = {"web": "apps/web:1.0.0", "docker.io/library/web:3": "apps/web:1.0.0"}
UNIT = """\
# The site's pages
[Unit]
Description=web

[Container]
Image=web
PublishPort=8080:80
PublishPort=443
Exec=/usr/bin/busybox httpd \\
  -f -p 80

[Install]
WantedBy=default.target
"""


@pytest.mark.parametrize("written", ["web", "docker.io/library/web:3", " web "])
def test_only_the_images_name_changes(written: str) -> None:
    kept = named(UNIT.replace("Image=web", f"Image={written}"), "web.container", NAMES)
    assert kept == UNIT.replace("Image=web", "Image=apps/web:1.0.0")


def test_a_volume_needs_no_image() -> None:
    assert named("[Volume]\n", "data.volume", NAMES) == "[Volume]\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("Image=web|Image=nginx:1", "web.container:6: it runs 'nginx:1', which the package does not hold"),
        ("Image=web|Image=registry.example/web:1.0.0", "which the package does not hold"),
        ("Image=web|#", "web.container: it has 0 images"),
        ("Image=web|Image=web\nImage=web", "web.container: it has 2 images"),
        ("Image=web|Image=\\\nweb", "web.container:6: Image goes on in the next line"),
        ("Exec=|AutoUpdate=registry\nExec=", "web.container:9: AutoUpdate is not kept"),
        ("Exec=|EnvironmentFile=/etc/x\nExec=", "EnvironmentFile is not kept"),
        ("Image=web|Rootfs=/srv", "Rootfs is not kept"),
        ("Exec=|ContainerName=web\nExec=", "web.container:9: ContainerName is not kept"),
        ("Exec=|ServiceName=ssh\nExec=", "ServiceName is not kept"),
        ("Exec=|Volume=data:/data\nExec=", "web.container:9: it makes a volume that no unit states"),
    ],
)
def test_what_would_not_be_the_package(change: str, message: str) -> None:
    old, _, new = change.partition("|")
    with pytest.raises(PackageError) as caught:
        named(UNIT.replace(old, new, 1), "web.container", NAMES)
    assert message in str(caught.value)
    assert caught.value.next_action


@pytest.mark.parametrize("source", ["data.volume:/data", "/srv/data:/data:ro", "%h/data:/data", "/data"])
def test_volumes_that_are_kept(source: str) -> None:
    assert f"Volume={source}\n" in named(UNIT.replace("Exec=", f"Volume={source}\nExec="), "web.container", NAMES)


def test_names_of_units() -> None:
    assert name_of("units/web-1.container") == "web-1.container"
    for odd in ("web.kube", "web.build", "Web.container", ".container", "web.service", "web@.container"):
        with pytest.raises(PackageError, match="not a unit that is kept"):
            name_of(odd)


def test_a_smoke_test_of_a_port_that_is_published() -> None:
    units = {"web.container": UNIT, "data.volume": ""}
    check_smoke(units, "web", 8080)
    for service, port in (("web", 80), ("web", 443), ("data", 8080)):
        with pytest.raises(PackageError, match=rf"no unit {service}.container publishes port {port}") as caught:
            check_smoke(units, service, port)
        assert caught.value.evidence == "there are: web at 8080"

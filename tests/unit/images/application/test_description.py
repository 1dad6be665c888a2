"""application.toml: what it says, and that nothing in it is guessed."""

import re
from pathlib import Path

import pytest

from images.application.description import (
    Chart,
    Compose,
    Containerfile,
    Kustomize,
    Nothing,
    Plain,
    Ready,
    Smoke,
    Tree,
    read,
)
from images.errors import PackageError

SOURCES = {
    "manifests = 'a.yaml'": Plain(files=("a.yaml",)),
    "manifests = ['a.yaml', 'b/']": Plain(files=("a.yaml", "b")),
    "kustomize = 'overlays/site'": Kustomize(folder="overlays/site"),
    "kustomize = '.'": Kustomize(folder="."),
    "helm = {chart = 'chart'}": Chart(folder="chart", values="", kubernetes=""),
    "helm = {chart = 'c', values = 'v.yaml', kubernetes = '1.33.0'}": Chart(
        folder="c", values="v.yaml", kubernetes="1.33.0"
    ),
    "compose = 'compose.yaml'": Compose(file="compose.yaml"),
    "quadlet = ['web.container']": Nothing(),
    "compose = 'compose.yaml'\nquadlet = ['web.container']": Compose(file="compose.yaml"),
}
EXAMPLES = Path(__file__).parents[4] / "examples/application"
WHOLE = """
name = "shop"
version = "v1.2.0-rc.1"
manifests = ["base.yaml", "more/extra.yaml"]
clear_secrets = ["demo"]

[images.shop]
tree = "src"
at = "/srv/shop/"
packages = ["python3", "busybox-static", "python3"]
command = ["/usr/bin/python3", "/srv/shop/main.py"]
user = "1000:1000"
ports = [8443, 8080]
folder = "/srv/shop"
stop_signal = "SIGINT"
environment = { TZ = "UTC" }

[images.base]
packages = ["busybox-static"]
command = ["/usr/bin/busybox", "sh"]

[images.built]
containerfile = "built/Containerfile"

[images.database]
layout = "postgres"
image = "postgres:17"
replaces = ["docker.io/library/postgres:17"]

[smoke]
service = "shop"
port = 80
path = "/health?deep=1"
status = 204
"""


def test_everything_that_can_be_said() -> None:
    described = read(WHOLE.encode())
    assert (described.name, described.version) == ("shop", "v1.2.0-rc.1")
    assert described.manifests == Plain(files=("base.yaml", "more/extra.yaml"))
    assert described.smoke == Smoke(service="shop", port=80, path="/health?deep=1", status=204, contains="")
    origins = {image.name: image.origin for image in described.images}
    shop, base = origins["shop"], origins["base"]
    assert isinstance(shop, Tree)
    assert isinstance(base, Tree)
    assert (shop.folder, shop.at, shop.packages) == ("src", "srv/shop", ("busybox-static", "python3"))
    assert (shop.settings.user, shop.settings.ports) == ("1000:1000", ("8080/tcp", "8443/tcp"))
    assert shop.settings.environment == {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin", "TZ": "UTC"}
    assert base.settings.user == "65534:65534", "nobody, unless it says so"
    assert origins["built"] == Containerfile(folder="built", file="Containerfile")
    assert origins["database"] == Ready(layout="postgres", name="postgres:17")
    assert described.packages == ("busybox-static", "python3")


@pytest.mark.parametrize("text", SOURCES)
def test_where_manifests_come_from(text: str) -> None:
    assert read(f"name = 'web'\nversion = '1.0'\n{text}\n".encode()).manifests == SOURCES[text]


def test_what_manifests_may_call_an_image() -> None:
    names = read(WHOLE.encode()).names
    assert names["shop"] == names["apps/shop:v1.2.0-rc.1"] == "apps/shop:v1.2.0-rc.1"
    assert names["docker.io/library/postgres:17"] == names["database"] == "apps/shop/database:v1.2.0-rc.1"


def test_the_guide_shows_the_example() -> None:
    _, _, stated = (EXAMPLES / "one/application.toml").read_text().partition("\n")
    shown = re.sub(" #.*", "", stated).replace('stop_signal = "SIGKILL"\n', "")
    assert f"```text\n{shown}```" in (EXAMPLES.parents[1] / "docs/guide/packages.md").read_text()


@pytest.mark.parametrize("example", ["one", "two", "notes"])
def test_the_examples_are_read(example: str) -> None:
    described = read((EXAMPLES / example / "application.toml").read_bytes())
    assert described.smoke is not None
    assert described.smoke.contains


REFUSED = {
    "no TOML": ("name =", "not TOML", "line 1"),
    "no UTF-8": ("\udcff", "not TOML", ""),
    "an unknown key": ("named = 1\n", "application.toml: named: unknown key", "known here: "),
    "an unknown key of an image": ('tree = "src"\n|tree = "src"\nexec = "x"\n', "images.shop.exec: unknown key", "at"),
    "a name in capitals": ('name = "shop"|name = "Shop"', "application.toml: name: not of that form", "Shop"),
    "the name of an engine": ('name = "shop"|name = "k3s"', "an engine has that name", "k3s"),
    "a version that no tag can have": ("v1.2.0-rc.1|1.2.0+1", "version: not of that form", "1.2.0+1"),
    "a version that means another one tomorrow": ("v1.2.0-rc.1|latest", "version: not of that form", "latest"),
    "no manifests": (
        'manifests = ["base.yaml", "more/extra.yaml"]|',
        "one of manifests, kustomize, helm, compose is wanted",
        "none",
    ),
    "manifests elsewhere": ('"base.yaml"|"../base.yaml"', "leads out of the source", "../base.yaml"),
    "two kinds of manifests": ("kustomize = 'x'\n", "application.toml: one of manifests,", "manifests, kustomize"),
    "an absolute tree": ('tree = "src"|tree = "/src"', "images.shop.tree: a path leads out", "/src"),
    "a tree that stands nowhere": ('at = "/srv/shop/"|', "images.shop.at: missing", ""),
    "a tree above its place": ('at = "/srv/shop/"|at = "/srv/../x"', "images.shop.at: not an absolute path", ".."),
    "a package with a version": ('"python3", "busy|"python3=3.13", "busy', "not a Debian package", "python3=3.13"),
    "no program": ('command = ["/usr/bin/busybox", "sh"]|', "images.base.command: no program", ""),
    "a program to be searched": ('"/usr/bin/busybox", "sh"|"sh"', "images.base.command: no program", "sh"),
    "a variable that has no name": ("{ TZ =|{ 'T Z' =", "images.shop.environment: not the name", "T Z"),
    "a variable that is a number": ('TZ = "UTC"|TZ = 1', "images.shop.environment.TZ: not of type str", "1"),
    "a working folder somewhere": (
        'folder = "/srv/shop"|folder = "srv"',
        "images.shop.folder: not of that form",
        "srv",
    ),
    "a signal by number": ('"SIGINT"|"2"', "images.shop.stop_signal: not of that form", "2"),
    "a user by name": ('"1000:1000"|"www-data"', "images.shop.user: not a numeric user", "www-data"),
    "a port too high": ("8443|84430", "images.shop.ports: not a port", "84430"),
    "a port that is true": ("8443|true", "images.shop.ports: not a list of numbers", "True"),
    "two ways at once": (
        'layout = "postgres"|layout = "postgres"\ncontainerfile = "x"',
        "images.database: one of tree, containerfile, layout is wanted",
        "containerfile, layout",
    ),
    "no way at all": (
        'containerfile = "built/Containerfile"|',
        "images.built: one of tree, containerfile, layout is wanted",
        "none",
    ),
    "a Containerfile with packages": (
        '"built/Containerfile"|"x"\npackages = []',
        "images.built.packages: unknown key",
        "",
    ),
    "one image for two names": ('"docker.io/library/postgres:17"|"base"', "two images have one name", "base"),
    "an image that is no name": ("[images.built]|[images.Built]", "images: not a name", "Built"),
    "a smoke test of nothing": ('service = "shop"|', "smoke.service: missing", ""),
    "a status that is none": ("204|20", "smoke.port: not a port and a status", "20"),
    "a path without a slash": ('"/health?deep=1"|"health"', "smoke.path: not a path", "health"),
    "a number as text": ("port = 80|port = '80'", "smoke.port: not of type int", "80"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_whatever_is_not_understood_is_refused_with_its_key(case: str) -> None:
    change, message, evidence = REFUSED[case]
    old, bar, new = change.partition("|")
    assert old in WHOLE or not bar
    text = WHOLE.replace(old, new, 1) if bar else change + WHOLE
    with pytest.raises(PackageError) as caught:
        read(text.encode("utf-8", "surrogateescape"))
    assert message in str(caught.value)
    assert evidence in caught.value.evidence
    assert caught.value.next_action

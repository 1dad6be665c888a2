"""A subset of compose, translated as the golden file has it; every other key is refused by its name."""

from pathlib import Path

import pytest

from images.application.compose import translated
from images.application.documents import read, write
from images.application.manifests import checked
from images.errors import PackageError

GOLDEN = Path(__file__).parents[3] / "golden/images/application"
WHOLE = """
name: shop
x-common: {anything: [1]}
services:
  web:
    image: shop
    x-note: nobody's
    entrypoint: /usr/bin/python3 -u
    command: ["/srv/main.py", "--cost=$$5"]
    environment: {MODE: production, LIMIT: 5, NOTHING: ""}
    ports: ["80:8080", "8443", {target: 9000, published: "9001", protocol: udp}]
    user: "1000:1000"
    working_dir: /srv
    read_only: true
    tmpfs: [/tmp, /run]
    restart: unless-stopped
    stop_grace_period: 1m30s
    healthcheck: {test: [CMD, /usr/bin/true, -v], interval: 5s, timeout: 2s, retries: 3, start_period: 10s}
    deploy:
      replicas: 3
      resources: {limits: {cpus: "0.5", memory: 64M}, reservations: {memory: 1gb}}
  worker:
    image: shop
    environment: [MODE=worker, "LINE=a=b"]
    healthcheck: {test: test -e /run/ready}
    tmpfs: /tmp
"""


def values_of(text: str) -> bytes:
    (document,) = read(text, "compose.yaml")
    return write(manifest.value for manifest in checked(translated(document, "shop")))


def test_it_becomes_the_golden_manifests() -> None:
    assert values_of(WHOLE).decode() == (GOLDEN / "compose.yaml").read_text()


REFUSED = {
    "another name": ("name: shop|name: other", "name: not understood"),
    "volumes of all": ("x-common|volumes", "volumes: not understood"),
    "an unknown key": ("x-note|logging", "services.web.logging: not understood"),
    "a build": ("x-note: nobody's|build: .", "services.web.build: images are made by [images.NAME]"),
    "volumes": ("x-note: nobody's|volumes: ['a:/b']", "services.web.volumes: how large a volume is"),
    "an order": ("x-note: nobody's|depends_on: [worker]", "services.web.depends_on: a cluster starts everything"),
    "a file of variables": ("x-note: nobody's|env_file: a", "services.web.env_file: what is in that file"),
    "no image": ("    image: shop\n    x-note|    x-note", "services.web: no image"),
    "a name with a dot": ("  worker:|  wor.ker:", "services.wor.ker: not the name of a Service"),
    "a variable": ("production|'${MODE}'", "services.web.environment.MODE: it has a variable"),
    "a variable of the caller": ("MODE=worker|MODE", "services.worker.environment[0]: no value"),
    "a variable without a value": ("MODE: production|MODE: null", "services.web.environment.MODE: no value"),
    "a variable that has no name": ("MODE=worker|=worker", "services.worker.environment[0]: not the name"),
    "an address": ("80:8080|127.0.0.1:80:8080", "services.web.ports[0]: not of that form"),
    "a range": ("80:8080|80-81:8080-8081", "services.web.ports[0]: not of that form"),
    "a port too high": ("80:8080|80:80800", "services.web.ports[0]: not a port"),
    "a port that is taken": ('"8443"|"8080:9999"', "services.web.ports[1]: two things at port 8080"),
    "a mode of a port": ("protocol: udp|mode: host", "services.web.ports[2].mode: not understood"),
    "no target": ("target: 9000, |", "services.web.ports[2]: no target"),
    "a user by name": ('"1000:1000"|www-data', "services.web.user: not of that form"),
    "options of a tmpfs": ("[/tmp, /run]|['/tmp:size=1m']", "services.web.tmpfs: not a path: /tmp:size=1m"),
    "what starts once": ("unless-stopped|on-failure", "services.web.restart: a Deployment starts what ends, always"),
    "a time in words": ("1m30s|soon", "services.web.stop_grace_period: not of that form"),
    "no time": ("1m30s|''", "services.web.stop_grace_period: no time"),
    "no test": ("test: test -e /run/ready|retries: 3", "services.worker.healthcheck: no test"),
    "a test that is none": ("[CMD, /usr/bin/true, -v]|[NONE]", "services.web.healthcheck.test: not a test"),
    "an unknown key of a check": ("retries|tries", "services.web.healthcheck.tries: not understood"),
    "a mode of deployment": ("replicas: 3|mode: global", "services.web.deploy.mode: not understood"),
    "replicas below none": ("replicas: 3|replicas: -1", "services.web.deploy.replicas: not a number"),
    "devices": ("reservations: {memory: 1gb}|reservations: {devices: []}", "reservations.devices: not understood"),
    "an amount": ("64M|64Mi", "services.web.deploy.resources.limits.memory: not of that form"),
    "a flag that is a text": ("read_only: true|read_only: 'yes'", "services.web.read_only: neither true nor false"),
    "a list that is none": ("[/tmp, /run]|{a: b}", "services.web.tmpfs: not a text"),
    "services as a list": ("services:|services: []\nx-services:", "services: not a mapping"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_its_key(case: str) -> None:
    change, message = REFUSED[case]
    old, _, new = change.partition("|")
    assert old in WHOLE
    with pytest.raises(PackageError) as caught:
        values_of(WHOLE.replace(old, new, 1))
    assert str(caught.value).startswith("compose.yaml:2: ")
    assert message in str(caught.value)
    assert caught.value.next_action

"""Versions of a small application with units, as its author would package them; and what clients see of them."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from appliance.lab.demo import IMAGES
from images.__main__ import archive
from images.application.build import package
from images.artifact_set import ArtifactSet
from images.store import Store
from tests.cluster.nodes import Ground, Node

EXAMPLE = Path(__file__).parents[2] / "examples" / "application" / "host"
NAME, PORT = "pages", 8080
UNWELL = '["/usr/bin/busybox", "false"]'
_TRIES_EVERY = 0.2


def version(sets: Path, work: Path, number: str, *, health: str = "", name: str = NAME, more: str = "") -> ArtifactSet:
    """The example in another version, below `sets`. `health` is what its container's health is found out by, `more` a
    line of its container."""
    source = work / f"{name}-{number}"
    shutil.copytree(EXAMPLE, source)
    described, unit = source / "application.toml", source / f"{NAME}.container"
    _edit(source / "www/index.html", {"1.0.0": number})
    _edit(described, {"1.0.0": number, f'name = "{NAME}"': f'name = "{name}"', f"images.{NAME}": f"images.{name}"})
    _edit(unit, {f"Image={NAME}": f"Image={name}", "[Container]": f"[Container]\n{more}"})
    if health:
        unit.write_text(re.sub("^HealthCmd=.*", f"HealthCmd={health}", unit.read_text(), flags=re.MULTILINE))
    return package(source, sets, Store(IMAGES), archive())


def _edit(path: Path, changes: Mapping[str, str]) -> None:
    text = path.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


def asked(ground: Ground, node: Node) -> str:
    """What it answers, "" for nothing."""
    argv = [*ground.entered, "curl", "-s", "--max-time", "2", f"http://{node.address}:{PORT}/"]
    return subprocess.run(argv, capture_output=True, check=False, timeout=10).stdout.decode(errors="replace")


def until_answers(ground: Ground, node: Node, text: str, seconds: float = 90.0) -> None:
    pace, tries = threading.Event(), int(seconds / _TRIES_EVERY)
    for _ in range(tries):
        if text in asked(ground, node):
            return
        pace.wait(_TRIES_EVERY)
    raise AssertionError(f"{node.name} does not say {text!r} within {seconds} s: {asked(ground, node)!r}")


@contextmanager
def somebody_asks(ground: Ground, nodes: tuple[Node, ...]) -> Iterator[list[str]]:
    """All of them, again and again; yields what was seen when none of them answered."""
    over, missed = threading.Event(), list[str]()

    def ask() -> None:
        while not over.wait(_TRIES_EVERY):
            if not any(asked(ground, node) for node in nodes):
                missed.append("nobody answered")

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield missed
    finally:
        over.set()
        thread.join()

"""Units of podman for a container host, kept as they are but for the names of their images. Pure.

podman-systemd.unit(5): sections and keys as systemd.syntax(7) has them, one KEY=VALUE a line.
"""

import re
from collections.abc import Iterator, Mapping

from images.application.documents import refused
from images.errors import PackageError

ROLE = "quadlet"
"""Of these files in a package."""
_FILE = re.compile(r"[a-z][a-z0-9-]{0,62}\.(container|network|volume)")
_PUBLISHED = re.compile(r"(?:(?P<published>\d{1,5}):)\d{1,5}(/tcp)?")
_IMAGE, _PUBLISH, _VOLUME = "Image", "PublishPort", "Volume"
_NAMED = "another application may have that name: it is called as its file is, systemd-NAME"
_REFUSED = {
    "AutoUpdate": "what runs is what the package says, until another package is deployed",
    "EnvironmentFile": "the file would not be in the package",
    "Rootfs": "it would not be in the package",
    **dict.fromkeys(("ContainerName", "NetworkName", "ServiceName", "VolumeName"), _NAMED),
}


def name_of(file: str) -> str:
    """Without folders. Raises `PackageError`."""
    name = file.rpartition("/")[2]
    if not _FILE.fullmatch(name):
        wanted = "name it NAME.container, NAME.network or NAME.volume, in small letters"
        raise refused(file, "not a unit that is kept", name, wanted)
    return name


def named(text: str, file: str, names: Mapping[str, str]) -> str:
    """With the images' names in the set. Raises `PackageError` with file and line."""
    kept, images = list[str](), 0
    for number, line in enumerate(text.splitlines(), 1):
        key, equals, value = (part.strip() for part in line.partition("="))
        if line.rstrip().endswith("\\") and key in {_IMAGE, _PUBLISH}:
            raise refused(f"{file}:{number}", f"{key} goes on in the next line", line, "write it in one")
        if equals and key in _REFUSED:
            raise refused(f"{file}:{number}", f"{key} is not kept", _REFUSED[key], "remove it")
        if equals and key == _VOLUME and _is_unstated(value):
            wanted = "add NAME.volume to quadlet, and write Volume=NAME.volume:/path"
            raise refused(f"{file}:{number}", "it makes a volume that no unit states", line, wanted)
        if equals and key == _IMAGE:
            line, images = f"{_IMAGE}={_meant(value, f'{file}:{number}', names)}", images + 1
        kept.append(line)
    if file.endswith(".container") and images != 1:
        raise refused(file, f"it has {images} images", "", "say Image= once, in [Container]")
    return "\n".join(kept) + "\n"


def check_smoke(units: Mapping[str, str], service: str, port: int) -> None:
    """`units`: text by file's name. Raises `PackageError` where no such container publishes that port."""
    published = {
        name.removesuffix(".container"): sorted(_published(text))
        for name, text in units.items()
        if name.endswith(".container")
    }
    if port in published.get(service, ()):
        return
    seen = "; ".join(f"{name} at {', '.join(map(str, ports)) or 'no port'}" for name, ports in published.items())
    raise PackageError(
        f"smoke: no unit {service}.container publishes port {port}",
        evidence=f"there are: {seen or 'none'}"[:200],
        next_action="correct [smoke], or add PublishPort=",
    )


def _is_unstated(volume: str) -> bool:
    """By its name alone, where it is neither a unit's nor a folder of the host nor one without a name."""
    source, colon, _ = volume.partition(":")
    return bool(colon) and not source.endswith(".volume") and not source.startswith(("/", ".", "%"))


def _published(text: str) -> Iterator[int]:
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if key == _PUBLISH and (found := _PUBLISHED.fullmatch(value)):
            yield int(found["published"])


def _meant(written: str, where: str, names: Mapping[str, str]) -> str:
    if (name := names.get(written)) is None:
        held = ", ".join(sorted(set(names.values()))) or "no image"
        raise refused(
            where,
            f"it runs {written[:150]!r}, which the package does not hold",
            f"it holds: {held}",
            f'add it: [images.NAME] with replaces = ["{written[:100]}"]',
        )
    return name

"""What is in an image, as a CycloneDX 1.6 document: https://cyclonedx.org/docs/1.6/json/ . Pure.

Below the appliance's image stand the product, its Python packages and Debian packages, and what it holds for others:
ramdisk, image of the machines, boot programs, each with its own packages and the hashes of its files. Below an
application stand its container images. The same package in two places is two components.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote

from images.epoch import EPOCH
from images.errors import ImageFormatError
from images.packages import Package
from images.store import Artifact
from images.wheels import Wheel

JsonValue = str | int | bool | None | list["JsonValue"] | dict[str, "JsonValue"]
_SAFE = ".-_~:"


class Kind(StrEnum):
    """Component types (component.type of the specification)."""

    SYSTEM = "operating-system"
    APPLICATION = "application"
    CONTAINER = "container"
    FILE = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    """An artefact that the image hands out: its files, and the packages that they were made of."""

    name: str
    description: str
    files: Sequence[Artifact]
    packages: Sequence[Package]
    kind: Kind = Kind.SYSTEM

    @property
    def shown_as(self) -> Kind:
        """A system of which no package is known is a file to whoever reads this."""
        return Kind.FILE if self.kind is Kind.SYSTEM and not self.packages else self.kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """`identity` is in hex: equal for equal images. `suite` is Debian's. The product is inside a SYSTEM alone."""

    name: str
    version: str
    identity: str
    suite: str
    packages: Sequence[Package]
    wheels: Sequence[Wheel]
    inside: Sequence[Inside]
    kind: Kind = Kind.SYSTEM


def document(contents: Contents) -> str:
    """The text of the document, the same for the same contents."""
    whole = f"pkg:generic/{quote(contents.name, safe=_SAFE)}@{quote(contents.version, safe=_SAFE)}"
    products = [_product(contents)] if contents.kind is Kind.SYSTEM else []
    components = [
        *products,
        *(_wheel(wheel) for wheel in contents.wheels),
        *(_package(package, contents.suite, "") for package in contents.packages),
        *(_inside(inside, contents.suite) for inside in contents.inside),
    ]
    value: dict[str, JsonValue] = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, f'{contents.identity}/sbom')}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(EPOCH, UTC).isoformat(),
            "component": {
                "type": contents.kind,
                "bom-ref": whole,
                "name": contents.name,
                "version": contents.version,
                "purl": whole,
            },
        },
        "components": [*components],
        "dependencies": [
            {"ref": whole, "dependsOn": [str(component["bom-ref"]) for component in components]},
            *(_wanted(product, contents) for product in products),
        ],
    }
    return json.dumps(value, indent=1) + "\n"


def _product(contents: Contents) -> dict[str, JsonValue]:
    purl = f"pkg:generic/innervate@{quote(contents.version, safe=_SAFE)}"
    return {
        "type": "application",
        "bom-ref": purl,
        "name": "innervate",
        "version": contents.version,
        "purl": purl,
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }


def _wanted(product: dict[str, JsonValue], contents: Contents) -> JsonValue:
    return {"ref": str(product["bom-ref"]), "dependsOn": [_purl_of(wheel) for wheel in contents.wheels]}


def _wheel(wheel: Wheel) -> dict[str, JsonValue]:
    purl = _purl_of(wheel)
    return {
        "type": "library",
        "bom-ref": purl,
        "name": wheel.name,
        "version": wheel.version,
        "purl": purl,
        "hashes": _hashes(wheel.sha256),
        "properties": [{"name": "innervate:wheel", "value": wheel.file}],
    }


def _purl_of(wheel: Wheel) -> str:
    return f"pkg:pypi/{quote(wheel.name, safe=_SAFE)}@{quote(wheel.version, safe=_SAFE)}"


def _package(package: Package, suite: str, place: str) -> dict[str, JsonValue]:
    version = quote(package.version, safe=_SAFE)
    purl = f"pkg:deb/debian/{quote(package.name, safe=_SAFE)}@{version}?arch={package.architecture}&distro={suite}"
    component: dict[str, JsonValue] = {
        "type": "library",
        "bom-ref": f"{place}{purl}",
        "name": package.name,
        "version": package.version,
        "purl": purl,
        "properties": [{"name": "innervate:source", "value": package.source}],
    }
    if package.sha256:
        component["hashes"] = _hashes(package.sha256)
    if package.licences:
        component["licenses"] = [{"license": {"name": name}} for name in package.licences]
    return component


def _inside(inside: Inside, suite: str) -> dict[str, JsonValue]:
    packages = [_package(package, suite, f"{inside.name}/") for package in inside.packages]
    return {
        "type": inside.shown_as,
        "bom-ref": f"inside/{inside.name}",
        "name": inside.name,
        "description": inside.description,
        "components": [*_files(inside), *packages],
    }


def _files(inside: Inside) -> Iterable[dict[str, JsonValue]]:
    for file in inside.files:
        yield {
            "type": "file",
            "bom-ref": f"inside/{inside.name}/{file.name}",
            "name": file.name,
            "hashes": _hashes(file.sha256),
        }


def _hashes(sha256: str) -> JsonValue:
    return [{"alg": "SHA-256", "content": sha256}]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A component as a person reads it; `place` is the artefact that it is in, empty for the image itself."""

    place: str
    name: str
    version: str
    licences: tuple[str, ...]


def lines(text: str) -> tuple[Line, ...]:
    """The components of a document, files left out. Raises ImageFormatError."""
    try:
        value: object = json.loads(text)
    except ValueError as cause:
        raise ImageFormatError("this is no SBOM", evidence=text[:100]) from cause
    match value:
        case {"bomFormat": "CycloneDX", "components": list(components)}:
            return tuple(_lines(components, ""))
        case _:
            raise ImageFormatError("this is no CycloneDX document", evidence=text[:100])


def _lines(components: Iterable[object], place: str) -> Iterator[Line]:
    for component in components:
        match component:
            case {"name": str(name), "components": list(nested)}:
                yield from _lines(nested, name)
            case {"type": "file"}:
                continue
            case {"name": str(name), "version": str(version)}:
                yield Line(place=place, name=name, version=version, licences=tuple(_licences(component)))
            case _:
                raise ImageFormatError("a component without a name", evidence=repr(component)[:200])


def _licences(component: object) -> Iterator[str]:
    match component:
        case {"licenses": list(found)}:
            for one in found:
                match one:
                    case {"license": {"name": str(name)} | {"id": str(name)}}:
                        yield name
                    case _:
                        continue
        case _:
            return

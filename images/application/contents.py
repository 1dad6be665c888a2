"""What is in an application, as the appliance's own SBOM says it (CycloneDX 1.6). Pure."""

import hashlib
from collections.abc import Sequence

from images.appliance.sbom import Contents, Inside, Kind, document
from images.application.containers import Made
from images.application.description import Description
from images.archive import SUITE

NAME = "sbom.cdx.json"
_KNOWN = "An image of the files of the application, upon these Debian packages."
_UNKNOWN = "An image that was made elsewhere: nothing here has looked into it."


def bill(described: Description, made: Sequence[Made]) -> bytes:
    contents = Contents(
        name=described.name,
        version=described.version,
        identity=_identity(described, made),
        suite=SUITE,
        packages=(),
        wheels=(),
        inside=tuple(map(_inside, made)),
        kind=Kind.APPLICATION,
    )
    return document(contents).encode()


def _identity(described: Description, made: Sequence[Made]) -> str:
    """Of what is inside alone: whoever builds the same gets the same document."""
    rows = [described.name, described.version, *(one.image.digest for one in made)]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _inside(made: Made) -> Inside:
    return Inside(
        name=f"{made.image.repository}@{made.image.digest}",
        description=_UNKNOWN if made.packages is None else _KNOWN,
        files=(),
        packages=made.packages or (),
        kind=Kind.CONTAINER,
    )

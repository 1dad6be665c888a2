"""Files of others are what was published: nobody changed them, and none is there that is not accounted for."""

from hashlib import sha256
from pathlib import Path

import appliance.web

VENDOR = Path(appliance.web.__file__).with_name("static") / "vendor"


def test_files_of_others_are_as_published() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    stated = {name: digest for digest, name in (line.split("  ") for line in lines)}
    here = {path.name: path for path in VENDOR.iterdir() if path.name not in ("SHA256SUMS", "README.md")}
    assert {name: sha256(path.read_bytes()).hexdigest() for name, path in here.items()} == stated
    told = (VENDOR / "README.md").read_text()
    assert [name for name in stated if f"`{name}`" not in told] == []

"""Applications to package within a moment: without a mirror, and without what they would take from Debian."""

import shutil
from pathlib import Path

from images.archive import Archive
from images.processes import HostProcesses

ROOT = Path(__file__).parents[1]
OFFLINE = Archive(mirror="http://mirror.example/debian", processes=HostProcesses(), progress=lambda line: None)


def plain_example(folder: Path) -> Path:
    """The first version of the example, in a folder that is made."""
    shutil.copytree(ROOT / "examples/application/one", folder)
    stated = folder / "application.toml"
    stated.write_text(stated.read_text().replace('packages = ["busybox-static"]\n', ""))
    return folder

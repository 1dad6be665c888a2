"""`innervate`: the front-end's verbs, and the two that are the appliance itself."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.app import build, run


def main(arguments: Sequence[str] | None = None) -> int:
    app = build()
    app.command()(daemon)
    app.command()(check)
    return run(app, arguments)


def daemon(config: Annotated[Path, typer.Option(help="The configuration, in TOML.")]) -> None:
    """Run the appliance in the foreground."""
    from appliance.daemon import main as daemon_main

    raise typer.Exit(daemon_main(config))


def check(file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Check a site program without touching anything."""
    from appliance.site import summary

    sys.stdout.write(summary(file))


if __name__ == "__main__":
    sys.exit(main())

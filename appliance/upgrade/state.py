"""What this version writes into the state folder and can read there; `python -m appliance.upgrade.state` says it to who
builds an image."""

import json
import sys
from dataclasses import asdict

from appliance import __version__
from appliance.store.log import REVISION
from appliance.store.records import RECORD_KINDS
from images.bundle import StateForm

FORM = 1
"""Grows when a file of the state folder beside the record log takes a form that the version before cannot read."""


def own() -> StateForm:
    return StateForm(form=FORM, schema=REVISION, kinds=RECORD_KINDS)


def main() -> None:
    sys.stdout.write(json.dumps({"version": __version__, **asdict(own())}) + "\n")


if __name__ == "__main__":
    main()

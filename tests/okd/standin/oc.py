#!/usr/bin/env python3
"""STAND-IN for oc, for tests: it is none of OKD's. What of it is needed works on a kubeconfig alone."""

import json
import sys
from pathlib import Path

import yaml

VERSION = "4.19.0-okd-scos.10"


def main(words: list[str]) -> None:
    match words:
        case ["version", "--client"]:
            sys.stdout.write(f"Client Version: {VERSION} STAND-IN\nKustomize Version: v5.0.0\n")
        case [option, "config", "view", "--raw", "-o", "json"] if option.startswith("--kubeconfig="):
            path = Path(option.partition("=")[2])
            sys.stdout.write(json.dumps(yaml.safe_load(path.read_text())) + "\n")
        case _:
            sys.stderr.write(f'error: unknown command "{" ".join(words)}"\n')
            raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])

"""`innervate`: its version is said at once; whatever else is asked loads the verbs."""

import sys
from collections.abc import Sequence

from appliance import __version__


def main(arguments: Sequence[str] | None = None) -> int:
    if list(sys.argv[1:] if arguments is None else arguments) == ["--version"]:
        sys.stdout.write(f"innervate {__version__}\n")
        return 0
    from appliance.verbs import main as carried_out

    return carried_out(arguments)


if __name__ == "__main__":
    sys.exit(main())

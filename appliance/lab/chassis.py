"""What OpenIPMI's simulator calls for its chassis: `chassis.py SOCKET get|set NAME [VALUE] ...`; no package needed.

Everything is passed on to the machine's owner, who listens on SOCKET; its answer is printed.
"""

import socket
import sys


def main() -> None:
    with socket.socket(socket.AF_UNIX) as owner:
        owner.settimeout(30)
        owner.connect(sys.argv[1])
        owner.sendall(" ".join(sys.argv[2:]).encode() + b"\n")
        with owner.makefile("rb") as answer:
            sys.stdout.write(answer.read().decode())


if __name__ == "__main__":
    main()

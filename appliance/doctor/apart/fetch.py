"""python -m appliance.doctor.apart.fetch ADDRESS PORT NAME: a file by TFTP, as a client that is not ours reads it."""

import hashlib
import logging
import sys

from tftpy.TftpClient import TftpClient

from appliance.doctor.apart.process import begin, say

_TIMEOUT = 2
_TRIES = 2
_BLOCK = 1408


class _Digest:
    """A file that only counts and hashes."""

    def __init__(self) -> None:
        self.sha256, self.size = hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self.sha256.update(data)
        self.size += len(data)
        return len(data)

    def close(self) -> None:
        return None


def main(address: str, port: int, name: str) -> None:
    begin()
    logging.disable(logging.CRITICAL)
    into = _Digest()
    try:
        TftpClient(address, port, options={"blksize": _BLOCK}).download(name, into, timeout=_TIMEOUT, retries=_TRIES)
    except Exception as error:  # tftpy raises errors of the socket, of its own, and of other types
        say("failed", problem=f"{type(error).__name__}: {error}"[:255])
        return
    say("fetched", sha256=into.sha256.hexdigest(), size=into.size)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])

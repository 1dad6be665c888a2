"""The real world behind `appliance.ports`."""

import asyncio
import random
import secrets
import subprocess
import time
from collections.abc import Sequence

from appliance.errors import MachineryError
from appliance.ports import Finished


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SystemRng:
    def token(self, size: int) -> str:
        return secrets.token_hex(size)

    def fraction(self) -> float:
        return random.random()  # noqa: S311  jitter, not a secret


class SystemProcesses:
    def run(self, argv: Sequence[str], *, timeout: float, stdin: bytes = b"") -> Finished:
        try:
            done = subprocess.run(list(argv), input=stdin, capture_output=True, timeout=timeout, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MachineryError(
                f"{argv[0]} could not be run", evidence=str(error)[:300], next_action=f"install or check {argv[0]}"
            ) from error
        return Finished(status=done.returncode, output=done.stdout, errors=done.stderr)

"""How far a running task is: written by its thread, read by the one that polls."""

from .protocol import Progress


class Tally:
    """Bytes, as in Progress."""

    def __init__(self) -> None:
        self.done = self.total = self.skipped = self.fetched = 0

    def progress(self) -> Progress:
        return Progress(done=self.done, total=self.total, skipped=self.skipped, fetched=self.fetched)

"""What the daemon said lately, kept in memory: a supporter wants it, and not everybody may read the journal."""

import logging
from collections import deque

from appliance.api.trace import TraceFilter

KEPT_LINES = 3000
_LONGEST = 2000
_FORM = "%(asctime)s %(levelname)s %(name)s %(trace_id)s %(message)s"
_CHATTY = ("alembic", "fido2")


class Logbook(logging.Handler):
    """The latest lines, each cut: a traceback is one."""

    def __init__(self) -> None:
        super().__init__()
        self._lines = deque[str](maxlen=KEPT_LINES)
        self.setFormatter(logging.Formatter(_FORM))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record)[:_LONGEST])

    def text(self) -> str:
        self.acquire()
        try:
            return "".join(f"{line}\n" for line in self._lines)
        finally:
            self.release()


def begun() -> Logbook:
    """From now on the daemon logs to standard error and into the book."""
    book = Logbook()
    logging.basicConfig(level=logging.INFO, format=_FORM)
    logging.getLogger().addHandler(book)
    for handler in logging.getLogger().handlers:
        handler.addFilter(TraceFilter())
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
    return book

"""What goes wrong in a bench: a tool that is missing, a server that does not start, a load that proves nothing."""


class BenchError(Exception):
    """One sentence, with the evidence in it."""

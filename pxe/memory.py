"""The garbage collector, told what a server is like."""

import gc

_ALLOCATIONS = 50_000
_YOUNG, _MIDDLE = 20, 100


def settle() -> None:
    """To be called once, when all is started: what lives now lives to the end and need not be looked at again, and
    packets leave hardly any cycles behind. By default the collector stops every thread for ten milliseconds and more
    whenever a storm has filled the lease table.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, _YOUNG, _MIDDLE)

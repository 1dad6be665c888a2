"""How long to wait before asking again."""

SHORTEST, LONGEST = 1.0, 30.0


def next_delay(previous: float, fraction: float) -> float:
    """Decorrelated jitter in seconds: a rack that lost its server does not come back in step."""
    return min(LONGEST, SHORTEST + fraction * max(0.0, previous * 3 - SHORTEST) if previous else SHORTEST + fraction)

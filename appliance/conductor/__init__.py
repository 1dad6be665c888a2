"""The nervous system: runs approved plans, durably, and can say at any moment what it waits for.

records -> world (fold) -> position (what may start) -> steps (ensure) -> records
"""

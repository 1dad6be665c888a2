"""Longer work on installed machines: told once over SSH, done by the machine itself, looked at until it is done."""

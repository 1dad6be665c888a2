"""Switches, by their command line: what is told to them, and what their answers mean."""

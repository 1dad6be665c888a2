"""Slurm: its configuration, and what is done on its machines. Pure."""

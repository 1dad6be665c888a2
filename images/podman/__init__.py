"""Podman as an artifact set, of Debian's own packages."""

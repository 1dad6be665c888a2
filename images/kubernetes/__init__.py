"""Kubernetes as an artifact set: programs, packages and container images for nodes that reach no other network."""

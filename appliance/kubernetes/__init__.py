"""Kubernetes as the appliance speaks with it: what it asks for (`csr`, `nodes`), and how (`api`)."""

"""Applications as artifact sets: a folder that says what it is becomes images, rendered manifests and what is in them.

    described = package(Path("examples/application/one"), Path("sets"), store, archive, key)

writes sets/web-1.0.0-amd64, to be imported like the set of a cluster engine.
"""

"""Container images as files: an OCI image layout, written from plain trees so that equal input gives equal digests.

    layout = Layout.create(folder)
    base = layout.add_layer(scan(tree))
    program = layout.add_layer({"usr/bin/hello": File(source=path, mode=0o755)})
    layout.add_image("apps/hello:v1", (base, program), Settings(entrypoint=("/usr/bin/hello",)))

https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md
"""

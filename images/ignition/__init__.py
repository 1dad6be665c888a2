"""The ramdisk in which Debian's own Ignition configures the root file system that was written to a disk."""

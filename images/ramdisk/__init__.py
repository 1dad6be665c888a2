"""The discovery ramdisk: what a machine boots to be inspected, and to have an image written to its disk."""

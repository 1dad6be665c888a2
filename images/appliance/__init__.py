"""The bootable appliance: one disk image with everything that a rack without uplink needs."""

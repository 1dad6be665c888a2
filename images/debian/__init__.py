"""The operating system image `debian-13`: minimal, boots from BIOS and UEFI, grows and seeds itself at first boot."""

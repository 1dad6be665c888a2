"""The Debian installer with its part of the archive, so that it needs no uplink."""

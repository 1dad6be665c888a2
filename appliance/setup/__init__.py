"""The first boot: a few answers, typed or on a stick, become a site program and a configuration."""

"""The appliance's two slots: a version is written beside the one that runs, tried once, and kept if it proves good."""

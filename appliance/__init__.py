"""The appliance: inventory, plans, conductor, BMC control, API and its front-ends."""

__version__ = "0.1.0"

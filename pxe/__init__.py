"""Network boot services: DHCP, TFTP, DNS and boot HTTP. Knows nothing of the appliance above it."""

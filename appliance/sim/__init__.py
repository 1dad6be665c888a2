"""A whole site in one process and in no time: the product's own code among simulated machines, faults and crashes."""

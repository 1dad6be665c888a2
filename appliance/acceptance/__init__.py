"""What a set of other people's programs is accepted by: the assertions that stand-ins pass, on the genuine ones."""

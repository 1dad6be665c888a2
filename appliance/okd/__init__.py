"""OKD on SCOS, from 4.19 on: what its installer is told, what its machines are told, and what a set of it must hold.
All of it is pure."""

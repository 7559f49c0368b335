"""The client of the network HSM: a codec without I/O, and a small pool of connections that speaks it."""

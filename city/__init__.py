"""The simulated world that uses the system: cards, riders, operators and their bad days, from a seed."""

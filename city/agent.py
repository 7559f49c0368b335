"""Who sells and loads cards in the simulated city."""

AGENT = "COUNTER-1"
"""The counter that sells and loads cards; what it takes is owed to us until it arrives at the bank."""

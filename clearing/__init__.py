"""From presented to cleared: batch files in, a verdict and a price for every tap, entries in the books."""

"""A network payment HSM in software: keys that never leave it, e-purse MACs and TACs, signatures."""

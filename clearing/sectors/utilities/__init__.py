"""Utility bills: queried, paid, written off, reconciled."""

"""Contributions and benefits."""

"""Benchmarks: speed and memory, each figure beside a peer or a ceiling measured in the same run."""

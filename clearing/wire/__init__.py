"""What travels between operators and the clearing house: bytes in, values out, and nothing else."""

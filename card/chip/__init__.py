"""What lives on the chip, and how a terminal speaks with it: commands, files, purse and keys, without I/O."""

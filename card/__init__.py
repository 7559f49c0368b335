"""The card, as a thing and as a record: the chip, the HSM that holds its keys, the register, the hotlist."""

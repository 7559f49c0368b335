"""The city's registers: who takes part, on which terms, with which devices; read from a file, entered, written out."""

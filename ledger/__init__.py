"""The city's books: accounts, entries of transfers between them, business days, seals. All money is here."""

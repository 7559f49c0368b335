"""Server-rendered pages: one for the citizen, one for finance."""

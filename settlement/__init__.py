"""From cleared to paid: the night's run, net positions, payment instructions, bank files, statements, reports."""

"""From cleared to paid: the night, net positions, payment instructions, bank files, statements, reports."""

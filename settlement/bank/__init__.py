"""What the bank answers: status reports and statements, held against our instructions and booked to the fen."""

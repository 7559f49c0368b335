"""What a holder sees: pockets and purses with what waits on them, and all that happened, over every channel."""

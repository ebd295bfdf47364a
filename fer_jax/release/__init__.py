"""The command `release`: weights of a run as a file with a card."""

"""The command `compare`: runs side by side, with tests of their differences."""

"""Which rows are used: lists of rows to leave out, and shares of a split."""

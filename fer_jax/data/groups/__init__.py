"""Which rows stay together, and how whole groups are cut into parts."""

"""The command `audit`: it searches the data for label errors, copies and images without a face."""

"""The command `audit`: label errors, near copies and images without a face."""

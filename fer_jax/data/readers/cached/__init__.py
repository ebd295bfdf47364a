"""Examples kept on disk: which are kept, and how."""

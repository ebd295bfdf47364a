"""One training on many devices: of one process, or of several that find each other and end together."""

"""A run's config: sections as frozen dataclasses, to and from files, with overrides. The door for config files."""

"""Pictures of one's own: listed by folders or a manifest, sorted into classes, and fitted to 48 x 48 gray."""

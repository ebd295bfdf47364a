"""Show and clear what fer_jax keeps in the user's cache folder."""

"""Faces in pictures and videos: how they are found, and what of them a network sees; never imports JAX."""

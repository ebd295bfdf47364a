"""uint8 images [N, 48, 48, 1]: augmentation, mixing, views, corruptions, standardisation. NumPy on the host."""

"""uint8 images [N, 48, 48, 1] on the host: augmentation, mixing, views, corruptions, standardisation."""

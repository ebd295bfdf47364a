"""One module a file format: Kaggle's CSV, image folders, the official parts, votes, TFDS, own pictures."""

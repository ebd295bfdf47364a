"""One module a file format: Kaggle's CSV, image folders, the official parts, FER+ votes, TFDS; own pictures."""

"""The command `show`: a contact sheet of images and their augmented versions."""

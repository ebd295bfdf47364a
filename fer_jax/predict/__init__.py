"""The command `predict`: the expressions of the faces in photos, folders, videos and of a camera."""

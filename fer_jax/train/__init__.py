"""The command `train`: the main job."""

"""Everything around a network: learning rate and schedule, regularisation, and augmentation.

Works with any config that has at least one block; the base config sets everything that is not named here. The
learning rate is log-uniform over two decades around those of the seven runs; all blocks share one dropout
rate.

Command: python -m fer_jax.sweep --config configs/run7.py --space configs/spaces/craft.py --data train.csv
"""

space = {
    "optimizer.peak_rate": (1e-4, 1e-2, "log"),
    "optimizer.schedule": ["constant", "cosine"],
    "model.blocks.*.dropout_rate": (0.0, 0.4, "linear"),
    "model.dense_dropout_rate": (0.0, 0.6, "linear"),
    "loss.label_smoothing": (0.0, 0.2, "linear"),
    "loss.class_weights": ["none", "sqrt", "balanced"],
    "augment.flip_probability": [0.0, 0.5],
    "augment.max_shift_px": (1.0, 8.0, "linear"),
    "augment.max_rotation_deg": (2.0, 25.0, "linear"),
    "augment.min_crop_scale": (0.7, 1.0, "linear"),
}

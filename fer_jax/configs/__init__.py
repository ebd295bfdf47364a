"""The command `configs`: the configs that come with fer_jax, with what they cost and what they measured."""

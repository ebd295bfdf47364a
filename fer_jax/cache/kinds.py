"""The kinds of what fer_jax keeps in the user's cache folder."""

from typing import Final, Literal, get_args

Kind = Literal["images", "answers", "programs"]
"""images: files of images, read and checked, and which are near copies; answers: the teachers', see
distillation; programs: compiled."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

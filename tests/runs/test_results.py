"""Results of other inputs are not replaced."""

from pathlib import Path

import pytest

from fer_jax.errors import RunError
from fer_jax.files import write_json
from fer_jax.runs.results import find_first_change, refuse_other


def test_a_result_of_other_inputs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    refuse_other(path, {"views": 1}, may_replace=False)
    write_json(
        path, {"views": 1, "data": {"sha256": "ab"}, "members": [{"run": "x"}, {"run": "y"}], "gone": None}
    )
    same = {"views": 1, "data.sha256": "ab", "members.run": ["x", "y"]}
    # What the old result lacks is lost to nobody.
    refuse_other(path, same | {"members.seed": [0, 1], "data.stem": "b", "gone": 4}, may_replace=False)
    for name, value, found in (
        ("views", 2, "views is 1, and here it is 2"),
        ("data.sha256", "cd", 'data.sha256 is "ab", and here it is "cd"'),
        ("members.run", ["x"], r'members.run is \["x", "y"\], and here it is \["x"\]'),
    ):
        with pytest.raises(RunError, match=f"its {found}; move it away, or give --overwrite"):
            refuse_other(path, same | {name: value}, may_replace=False)
        refuse_other(path, same | {name: value}, may_replace=True)
    path.write_text("{")
    refuse_other(path, {"views": 2}, may_replace=False)


def test_a_key_without_a_value_is_not_one_that_is_not_there() -> None:
    assert find_first_change({"a": 1, "b": None}, {"a": 1}) == "b"
    assert find_first_change({"b": 2, "a": 1}, {"a": 1, "b": 2}) is None

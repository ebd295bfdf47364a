"""What a command's console does where nobody reads it any more."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("is_colored", [False, True])
def test_a_reader_that_has_enough_ends_a_command_in_silence(is_colored: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "fer_jax.configs"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | ({"FORCE_COLOR": "1"} if is_colored else {}),
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 141)

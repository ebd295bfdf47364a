"""The work of `verify`: every subject is checked, every check shown and counted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from fer_jax.errors import DataError, DifferenceError, FerJaxError
from fer_jax.files import write_json
from fer_jax.report import terminal
from fer_jax.runs import sources
from fer_jax.runs.sources import Released
from fer_jax.runtime import cpu, machine
from fer_jax.text import counted
from fer_jax.verify import text
from fer_jax.verify.checks import Check
from fer_jax.verify.options import VerifyOptions, is_card, is_page


def verify(options: VerifyOptions, *, invocation: str) -> list[Check]:
    """Check everything that the options name, and show each check; `invocation` is for the JSON.

    Raises:
        DifferenceError: something differs.
        FerJaxError: a user error: the command line, the data, or a name.
    """
    console, checks = terminal.make_console(), []
    subject = ""
    for check in _check_all(console, options):
        if check.subject != subject:
            subject = check.subject
            console.print(subject, style="bold")
        console.print(f"  {text.describe_check(check)}", style=text.STYLES[check.state])
        checks.append(check)
    console.print(text.summarise(checks))
    if options.json is not None:
        counts = Counter(check.state for check in checks)
        content = {"command": invocation, "date": machine.now(), "git": machine.git_commit()}
        write_json(options.json, content | {"counts": counts, "checks": [asdict(check) for check in checks]})
        console.print(f"written to {options.json}")
    differing = [check for check in checks if check.state == "DIFFERS"]
    if differing:
        first = differing[0]
        raise DifferenceError(
            f"{counted(len(differing), 'check')} of {len(checks)} differ; the first: {first.subject}: "
            f"{first.what}: {first.detail}"
        )
    return checks


def _check_all(console: Console, options: VerifyOptions) -> Iterator[Check]:
    pages = [Path(subject) for subject in options.subjects if is_page(subject)]
    for subject in options.subjects:
        if not is_page(subject):
            yield from _check_networks(console, subject, options)
    if pages:
        from fer_jax.verify import pages as verify_pages

        yield from verify_pages.check(pages)


def _check_networks(console: Console, subject: str, options: VerifyOptions) -> Iterator[Check]:
    """Check released weights, or each run that a path stands for."""
    # Imported here: pages need none of this.
    from fer_jax.verify import cards, training

    cpu.tune_cpu()
    found = cards.find_card(Path(subject)) if is_card(subject) else sources.find(subject)
    if isinstance(found, Released):
        yield from _guarded(cards.name_subject(found), cards.check(console, found, options))
        return
    if (Path(subject) / "run.json").is_file():
        yield from _guarded(subject, training.check_seeds(Path(subject)))
    for folder in found:
        yield from _guarded(str(folder), training.check(console, folder, options))


def _guarded(subject: str, checks: Iterator[Check]) -> Iterator[Check]:
    """Turn a damaged file into a check that differs; data that cannot be read remains an error."""
    try:
        yield from checks
    except DataError:
        raise
    except FerJaxError as error:
        yield Check(subject, "files", "DIFFERS", str(error))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError) as error:
        yield Check(subject, "files", "DIFFERS", f"a file is damaged: {error!r} in it")

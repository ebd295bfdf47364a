"""An audit in sentences and tables, for the terminal and the page; all input is the content of audit.json."""

from fer_jax import fer2013
from fer_jax.audit.rules import MIN_CORRECT
from fer_jax.files import Json
from fer_jax.text import Table, counted, percent


def copies_table(copies: Json) -> Table:
    """Lay out the copies within each part, from what `rules.count_copies` returns."""
    head = ["part", "rows", "different images"]
    for kind in ("exact", "near"):
        head += [f"{kind} groups", f"rows in {kind} groups", f"{kind} groups with several labels"]
    rows = [head]
    for name, counts in (copies["within"] | {"all": copies["all"]}).items():
        numbers = [counts["rows"], counts["different_images"]]
        for kind in ("exact", "near"):
            numbers += [counts[kind][each] for each in ("groups", "rows", "groups_with_several_labels")]
        rows.append([name, *(f"{number:,}" for number in numbers)])
    return rows


def between_table(copies: Json) -> Table:
    """Lay out the copies between two parts; arguments as in `copies_table`."""
    rows = [["parts", "exact groups", "rows in exact groups", "near groups", "rows in near groups"]]
    for shared in copies["between"]:
        row = [" and ".join(shared["parts"])]
        for kind in ("exact", "near"):
            counts = [f"{count:,}" for count in shared[kind]["rows"]]
            row += [f"{shared[kind]['groups']:,}", " and ".join(counts)]
        rows.append(row)
    return rows


def reasons_table(lines: Json) -> Table:
    """Lay out how many rows are listed for which reason."""
    totals = {"listed, some for several reasons": "listed", "of these to keep": "keep", "to drop": "drop"}
    counts = lines["reasons"] | {words: lines[name] for words, name in totals.items()}
    return [["reason", "rows"], *([reason, f"{count:,}"] for reason, count in counts.items())]


def joint_table(label_errors: Json | None) -> Table | None:
    """Lay out the confident joint: given labels by likely ones."""
    if label_errors is None:
        return None
    names = label_errors.get("classes", fer2013.LABELS)
    rows = [["given \\ likely", *names]]
    for label, counts in zip(names, label_errors["confident_joint"], strict=True):
        rows.append([label, *(f"{count:,}" for count in counts)])
    return rows


def votes_table(votes: Json | None) -> Table | None:
    """Lay out the comparison of the list with the votes; None if there is none."""
    if votes is None:
        return None
    rows = [["", "rows", "of", "share", "95 % interval"]]
    listed, everything = votes["listed"], votes["all"]
    shares = {
        "listed rows that are disputed": listed["disputed"],
        "all rows that are disputed": everything["disputed"],
        "listed rows that are overruled": listed["overruled"],
        "all rows that are overruled": everything["overruled"],
        "listed rows with a suggested label that is the votes' majority": listed["suggestion_confirmed"],
        "disputed rows that are listed": votes["found"],
    }
    for words, share in shares.items():
        if share is not None:
            numbers = [f"{share['rows']:,}", f"{share['of']:,}", f"{100 * share['share']:.1f} %"]
            rows.append([words, *numbers, f"{100 * share['low']:.1f} – {100 * share['high']:.1f}"])
    return rows


def sentences(figures: Json) -> list[str]:
    """Sum up the main findings, one a line."""
    copies, not_face = figures["copies"], figures["not_faces"]
    lines = []
    for name, counts in copies["within"].items():
        exact = counts["exact"]
        several = exact["groups_with_several_labels"]
        lines.append(
            f"{name}: {counted(counts['different_images'], 'different image')} in "
            f"{counted(counts['rows'], 'row')}; {counted(exact['rows'], 'row')} in "
            f"{counted(exact['groups'], 'group')} of exact copies, {several:,} of them with several labels"
        )
    shared = sum(each["exact"]["groups"] for each in copies["between"])
    near = sum(each["near"]["groups"] for each in copies["between"])
    lines.append(
        f"Between parts: {counted(shared, 'image')} shared exactly, {counted(near, 'group')} of exact or "
        "near copies"
    )
    refused = not_face["refused_by_annotators"]
    others = (
        f"{not_face['strange']:,} strange" if refused is None else f"{refused:,} refused by the annotators"
    )
    lines.append(f"No face: {counted(not_face['flat'], 'flat image')}, {others}")
    errors = figures["label_errors"]
    if errors is not None:
        precision = errors["estimated_precision"]
        dropped = f"{errors['dropped']:,} of them are marked drop"
        if precision["dropped"] is not None:
            dropped += f" (estimated precision {percent(precision['dropped'], digits=0)})"
        lines.append(
            f"Labels: {errors['listed']:,} of {errors['total']:,} are likely errors (estimated precision "
            f"{percent(precision['listed'], digits=0)}), and {dropped}; the networks predict "
            f"{errors['correct']:,} unseen rows correctly ({percent(errors['correct'] / errors['total'])})"
        )
    votes = figures["votes"]
    if votes is not None:
        listed, everything = votes["listed"]["disputed"], votes["all"]["disputed"]
        lines.append(
            f"Annotators: the majority disputes {listed['rows']:,} of the {listed['of']:,} listed labels "
            f"({_with_interval(listed)}), against {_with_interval(everything)} of all labels"
        )
    return lines


def warn(correct: int, total: int) -> str:
    """Say that the networks know too little; `correct` of `total` unseen rows are predicted correctly."""
    return (
        f"the networks predict {percent(correct / total)} of the unseen rows correctly, and "
        f"{percent(MIN_CORRECT, digits=0)} are needed to question a label: none is marked drop on their "
        "word. Search again with more --epochs or another --config"
    )


def _with_interval(share: Json) -> str:
    return f"{100 * share['share']:.1f} %, {100 * share['low']:.1f} to {100 * share['high']:.1f}"

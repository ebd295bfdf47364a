"""The tables of docs/results/photos.md, from the JSON files of this package's programs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.arena import format_range
from benchmarks.harness.sections import write_or_tell
from benchmarks.photos.crop_rules import RULES
from benchmarks.photos.geometry import geometry_table
from fer_jax.text import MISSING, Table, decimal, percent, signed, to_markdown

_STARTERS_PEAK: Final = "Peak: not below that of the program that started it, so it may be too high. "

Content = Mapping[str, Any]

CHAIN: Final = "photos"
"""Name of the JSON of `benchmarks.photos`, without .json."""
HOLM_LEVEL: Final = 0.05
BESIDE: Final = {
    "known": ("the square that the face was pasted to", "what JPEG, resampling and roll cost alone"),
    "direct-single": ("the face as it is in FER2013", "no photo at all"),
}
"""Rows below the crop rules."""


def write_sections(results: Path) -> dict[str, str]:
    """Write all sections in Markdown, by name; one without its JSON says that it was not measured."""
    return {name: write_or_tell(results, file, write) for name, (file, write) in SECTIONS.items()}


def views_table(content: Content) -> str:
    """Write accuracy and agreement by network and views."""
    rows: Table = [
        [
            "network",
            "views",
            "accuracy on the found",
            "the same faces direct",
            "difference",
            "all, misses as wrong",
            "all direct",
            "same label as direct",
        ]
    ]
    for row in _of(content, "views"):
        rows.append(
            [
                f"`{row['network']}`, {row['labels']}",
                row["views"],
                _share(row["accuracy_on_found"]),
                percent(row["direct_on_found"]["ratio"]),
                _difference(row["against_direct_on_found"]),
                _share(row["accuracy"]),
                percent(row["direct_on_all"]["ratio"]),
                percent(row["agreement"]["ratio"]),
            ]
        )
    settings = content["settings"]
    first = _of(content, "views")[0]
    return (
        f"{to_markdown(rows, left_columns=2)}\n\n"
        f"{settings['faces']:,} faces of {settings['part']} in {settings['scenes']:,} scenes, "
        f"{settings['rolled']:,} of them rolled by up to {settings['most_roll_deg']:g}°; sides from "
        f"{settings['side_px'][0]:g} to {settings['side_px'][1]:g} pixels, JPEG at qualities "
        f"{settings['qualities'][0]} to {settings['qualities'][1]}. Found: "
        f"{percent(first['found']['ratio'])} of the faces, with a score of at least "
        f"{settings['min_score']:g}. In brackets 95 % intervals: Wilson's, and for differences in points "
        "that of pairs. Direct: the network sees the 48 × 48 pixels of FER2013; for `photo`, with `flip`. "
        "Labels: FER+ means that a network trained on FER+'s votes is measured by their majority, on the "
        f"faces that have one. {_place(content)}"
    )


def detector_table(content: Content) -> str:
    """Write faces found and false finds by the smallest score."""
    rows: Table = [["smallest score", "faces found", "false finds", "in a hundred scenes"]]
    for row in _of(content, "detector"):
        rows.append(
            [
                decimal(row["min_score"], digits=1),
                _share(row["found"]),
                f"{row['false']:,}",
                decimal(100 * row["false"] / row["scenes"], digits=1),
            ]
        )
    settings = content["settings"]
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        "A box belongs to a face if its centre is nearer to the face's than "
        f"{percent(settings['near'], digits=0)} of the side and the root of its area is within a factor "
        f"{settings['like']:g} of it."
    )


def rules_table(content: Content) -> str:
    """Write the accuracy of the crop rules on the found faces."""
    found = _of(content, "rules")
    networks = list(dict.fromkeys(row["network"] for row in found))
    head = ["crop", "whose"]
    for network in networks:
        head += [f"`{network}`", "difference from ours"]
    rows: Table = [head]
    words = {name: (rule.words, rule.source) for name, rule in RULES.items()} | BESIDE
    for name, (what, whose) in words.items():
        cells = [what, whose]
        for network in networks:
            (row,) = [each for each in found if (each["network"], each["rule"]) == (network, name)]
            cells += [percent(row["accuracy"]["ratio"]), _difference(row["against_contract"])]
        rows.append(cells)
    total = found[0]["accuracy"]["total"]
    return (
        f"{to_markdown(rows, left_columns=2)}\n\n"
        f"Accuracy with a single view on the {total:,} faces that were found, in points with the 95 % "
        "interval of pairs. \\* marks differences that stand after Holm's correction for a column's "
        f"comparisons, at {percent(HOLM_LEVEL, digits=0)}."
    )


def limits_table(content: Content) -> str:
    """Write the curves as rows, with the picture above them."""
    parts = ["![How far the detector goes in roll, size and blur](../images/photos-limits.png)"]
    names = {"roll": "roll, degrees", "size": "side, pixels", "blur": "blur, pixels of 48"}
    for what, name in names.items():
        found = _of(content, what)
        values = list(dict.fromkeys(row["value"] for row in found))
        rows: Table = [[name, *(f"{value:g}" for value in values)]]
        for has_small_faces in dict.fromkeys(row["small_faces"] for row in found):
            own = {row["value"]: row for row in found if row["small_faces"] == has_small_faces}
            words = " with `--small-faces`" if has_small_faces else ""
            for key, title in (("found", f"found{words}"), ("accuracy", f"accuracy on these{words}")):
                cells = [percent(own[value][key]["ratio"], digits=0) for value in values]
                rows.append([title, *cells])
        for row in _of(content, "portrait") if what == "size" else ():
            if row["value"] == values[0]:
                words = " with `--small-faces`" if row["small_faces"] else ""
                own = {
                    each["value"]: each
                    for each in _of(content, "portrait")
                    if each["small_faces"] == row["small_faces"]
                }
                cells = [percent(own[value]["found"]["ratio"], digits=0) for value in values]
                rows.append([f"a portrait found{words}", *cells])
        parts.append(to_markdown(rows, left_columns=1))
    settings = content["settings"]
    told = (
        f"The portrait: a real photo with head and shoulders, matplotlib's `{settings['portrait']}`, at "
        f"{settings['places']} places for each size; its side is that of the contract's square. "
        if _of(content, "portrait")
        else ""
    )
    parts.append(
        f"{settings['faces']:,} faces of {settings['part']} at each value; `{settings['network']}` with the "
        f"views `{settings['views']}`; score at least {settings['min_score']:g}. For this, boxes from "
        f"{settings['min_face_px']:g} pixels on count; `predict` leaves out those below "
        f"{settings['usual_min_face_px']:g} (`--min-face`). {told}{_place(content)}"
    )
    return "\n\n".join(parts)


def rivals_table(content: Content) -> str:
    """Write what the rivals found, how accurate they are, and what they take."""
    rows: Table = [
        [
            "program",
            "faces found",
            "accuracy on the found",
            "all, misses as wrong",
            "difference from ours",
            "where both found the face",
            "ms a photo",
            "ms a face",
            "import, s",
            "installed, MB",
            "peak MB",
        ]
    ]
    for row in content["results"]:
        cells = [MISSING] * 7
        if "found" in row:
            cells = [
                percent(row["found"]["ratio"]),
                _share(row["accuracy_on_found"]),
                _share(row["accuracy"]),
                _difference(row["against_ours"]),
                _difference(row["against_ours_on_both"]),
                _quartiles(row["photo_s"]),
                _quartiles(row["face_s"]),
            ]
        rows.append(
            [
                row["title"],
                *cells,
                format_range(row["import_s"], 1),
                f"{row['installed_mib'] * 1.048576:,.0f}",
                f"{row['peak_rss_mib'] * 1.048576:,.0f}" if "found" in row else MISSING,
            ]
        )
    left_out = [row for row in content["results"] if row["weights_from"]]
    said = "; ".join(
        f"{row['title']} ({row['requirements'][0]}) fetches its weights from {row['weights_from']}"
        for row in left_out
    )
    settings = content["settings"]
    is_own_peak = all(row.get("is_own_peak") for row in content["results"] if "found" in row)
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"{settings['faces']:,} faces of {settings['part']} in {settings['scenes']:,} scenes, each program "
        "with its defaults in an environment of its own. Ours: `mid`; differences in points, with the 95 % "
        "interval of pairs. Milliseconds: median (quartiles); of a photo, from "
        "the decoded picture to the labels of all its faces; of a face, with its box known. Import: a new "
        "process, median (smallest..largest). Installed: what `pip install` brings with all dependencies. "
        f"{'' if is_own_peak else _STARTERS_PEAK}"
        f"{'Not measured on the scenes: ' + said + '. ' if said else ''}{_place(content)}"
    )


def parts_table(content: Content) -> str:
    """Write the milliseconds of each part by size of the photo."""
    settings = content["settings"]
    sizes = settings["sizes"]
    names = list(dict.fromkeys(row["name"] for row in content["results"]))
    rows: Table = [["part", *(f"{size} megapixels" for size in sizes)]]
    medians: dict[tuple[str, str], float] = {}
    for name in names:
        cells = []
        for size in sizes:
            (row,) = [
                each
                for each in content["results"]
                if (each["name"], each["facts"]["megapixels"]) == (name, size)
            ]
            spread = row["spread_s"]
            medians[name, size] = spread["median"]
            cells.append(_quartiles([spread["q1"], spread["median"], spread["q3"]]))
        rows.append([name, *cells])
    for network in settings["networks"]:
        steps = ("decode", "detect", "crop", f"classify, {network}")
        rates = [1 / sum(medians[step, size] for step in steps) for size in sizes]
        rows.append(
            [f"photos a second, `{network}`, not drawn", *(decimal(rate, digits=1) for rate in rates)]
        )
    found = ", ".join(str(settings["faces"][size]) for size in sizes)
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"Milliseconds, median (quartiles), of one photo with {found} faces found, with the views "
        f"`{settings['views']}`: three crops a face, and six looks of the network. The parts took turns over "
        f"{settings['rounds']} rounds. Photos a second: one after the other, no pipeline. {_place(content)}"
    )


def video_table(content: Content) -> str:
    """Write frames a second by part, memory, and label changes."""
    settings, streamed = content["settings"], content["stream"]
    rows: Table = [["part", "frames a second"]]
    rows += [[row["name"], decimal(row["frames_per_s"], digits=0)] for row in content["results"]]
    rows.append(["**`fer_jax.stream`, all of it**", f"**{decimal(streamed['frames_per_s'], digits=0)}**"])
    memory = [value for value in streamed["rss_mib"] if value is not None]
    told = "Memory was not measured. "
    if len(memory) > 2:
        # The first looks are of queues and allocators that fill.
        early, late = memory[1], memory[-1]
        told = (
            f"Memory of the process: {early * 1.048576:,.0f} MB after "
            f"{2 * streamed['rss_every_frames']:,} frames, {late * 1.048576:,.0f} MB at the end, at most "
            f"{max(memory) * 1.048576:,.0f} MB. "
        )
    changes, faces = streamed["changes"], streamed["faces"]
    return (
        f"{to_markdown(rows, left_columns=1)}\n\n"
        f"{settings['frames']:,} frames of {settings['size'][0]} × {settings['size'][1]} with "
        f"{settings['faces']} moving faces, H.264; network `{settings['network']}`, views "
        f"`{settings['views']}`. The parts: alone, on the first {settings['timed_frames']:,} frames; all of "
        "it: without drawing, the parts side by side, "
        f"{decimal(streamed['times_real_time'], digits=1)} × real time at {settings['fps']} frames a second. "
        f"{told}The label of a track changed {changes['raw']:,} times "
        f"from one frame to the next, and {changes['smooth']:,} times after smoothing with "
        f"{settings['smooth_s']:g} s ({faces:,} faces; every {settings['seconds_a_face']:g} s another person "
        f"takes each place). {_place(content)}"
    )


SECTIONS: Final[dict[str, tuple[str, Callable[[Content], str]]]] = {
    "photos-views": (CHAIN, views_table),
    "photos-detector": (CHAIN, detector_table),
    "photos-rules": (CHAIN, rules_table),
    "photos-geometry": ("photos-geometry", geometry_table),
    "photos-limits": ("photos-limits", limits_table),
    "photos-rivals": ("photos-rivals", rivals_table),
    "photos-parts": ("photos-parts", parts_table),
    "photos-video": ("photos-video", video_table),
}
"""Section -> the JSON it shows, and what writes it."""


def _of(content: Content, what: str) -> list[dict[str, Any]]:
    return [row for row in content["results"] if row["what"] == what]


def _share(share: Mapping[str, Any]) -> str:
    """Write a share in percent, with its interval in brackets."""
    if share["ratio"] is None:
        return MISSING
    ends = (decimal(100 * share[end], digits=1) for end in ("low", "high"))
    return f"{percent(share['ratio'])} ({' to '.join(ends)})"


def _difference(row: Mapping[str, Any] | None) -> str:
    """Write a difference in points with its interval, and a star where it stands among several."""
    if row is None:
        return MISSING
    star = " \\*" if row.get("p_holm", 1.0) < HOLM_LEVEL else ""
    low, high, middle = (signed(100 * row[key]) for key in ("low", "high", "difference"))
    return f"{middle} ({low} to {high}){star}"


def _quartiles(seconds: list[float]) -> str:
    q1, median, q3 = (1000 * each for each in seconds)
    digits = 0 if median >= 100 else 1
    return f"{median:.{digits}f} ({q1:.{digits}f}..{q3:.{digits}f})"


def _place(content: Content) -> str:
    return f"{content['machine']}; {content['date'][:10]}."

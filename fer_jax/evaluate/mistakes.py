"""Pictures of what a network gets wrong: its most confident mistakes, saliency, nearest training images.

Beside each mistake stand the training images that are nearest to it in the network's last features. Where
they all have the predicted label, the training data agrees with the network, and the image's own label may
be the wrong one.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import scipy.special
from matplotlib import colormaps

from fer_jax import fer2013
from fer_jax.data.examples import Examples
from fer_jax.evaluate import saliency
from fer_jax.files import Json, reading, replacing, write_json
from fer_jax.inference.labels import LabelledRows
from fer_jax.inference.predictor import LARGEST_BATCH, predict
from fer_jax.inference.run_weights import Trained
from fer_jax.randomness import Stream, numpy_rng
from fer_jax.report import terminal
from fer_jax.report.contact_sheet import Caption, Role, Sheet, Tile, sheet_record, tile_sheet
from fer_jax.runs.record import divide_hashes
from fer_jax.text import confidence, counted

MISTAKE_COUNT: Final = 35
NEIGHBOUR_COUNT: Final = 5
SHOWN_WITH_NEIGHBOURS: Final = 5
FACES_PER_CLASS: Final = 3

_COLUMNS: Final = 5
_HEAT: Final = colormaps["viridis"]
_WEAK: Final = 1 / 3


class Mistake(NamedTuple):
    """A wrong prediction: row of the examples, label and predicted class 0..C-1, and its probability."""

    row: int
    true: int
    predicted: int
    confidence: float


class Neighbour(NamedTuple):
    """A nearby training image: row of the examples, label 0..C-1 (-1 where FER+ decides none), and distance.

    The distance is the cosine distance of the last features, from 0 (same direction) to 2.
    """

    row: int
    label: int
    distance: float


def find_mistakes(logits: np.ndarray, labels: np.ndarray, rows: np.ndarray, *, count: int) -> list[Mistake]:
    """Find the most confident wrong predictions, at most `count`, the most confident first.

    Args:
        logits: float [N, C].
        labels: int [N], 0..C-1.
        rows: int [N], which examples they are; ties are in their order.
        count: at most how many to return.

    >>> find_mistakes(np.array([[2.0, 2.0], [0.0, 5.0]]), np.array([1, 1]), np.array([40, 41]), count=9)
    [Mistake(row=40, true=1, predicted=0, confidence=0.5)]
    """
    predicted, confidences = _answers(logits)
    wrong = np.flatnonzero(predicted != labels)
    first = wrong[np.argsort(-confidences[wrong], kind="stable")][:count]
    return [
        Mistake(int(rows[place]), int(labels[place]), int(predicted[place]), float(confidences[place]))
        for place in first
    ]


def _answers(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    confidences = scipy.special.softmax(np.asarray(logits, np.float64), axis=1).max(axis=1)
    return logits.argmax(axis=1), confidences


def cosine_distances(features: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Compute the cosine distances, 1 − cos of the angle, of features float [M, D] to others [T, D].

    Returns:
        float64 [M, T], 0..2; 1 where one of the two is all zeros and has no direction.
    """

    def to_length_1(vectors: np.ndarray) -> np.ndarray:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.where(lengths > 0, lengths, 1)

    cosines = to_length_1(features.astype(np.float64)) @ to_length_1(others.astype(np.float64)).T
    return 1 - np.clip(cosines, -1, 1)


def find_training_rows(trained: Trained, examples: Examples) -> np.ndarray:
    """Find the images that a run was trained on: int64 [T], rows of `examples`, ascending, each once.

    In a file that is not the run's own, training images are recognised by their hash; images of PublicTest
    and PrivateTest are never taken for one, copies included. T may be 0.
    """
    if examples.sha256 == trained.record.data.sha256:
        return np.unique(trained.saved["train"])  # A bootstrap resample names a row more than once.
    may_train = (examples.usages <= fer2013.USAGES.index("Training")) & (
        examples.labels != fer2013.UNLABELLED
    )
    rows = np.flatnonzero(may_train)
    with reading(trained.folder / "run.json"):
        own, _, _ = divide_hashes(trained.saved, trained.record.ancestor)
    return rows[np.isin(examples.hashes[rows], own)]


def find_neighbours(
    trained: Trained, examples: Examples, rows: np.ndarray, features: np.ndarray, *, count: int
) -> list[list[Neighbour]]:
    """Find the training images nearest to some images by their last features.

    Args:
        trained: the run.
        examples: the data that is searched for training images, see `find_training_rows`.
        rows: int [M], the images; none is its own neighbour.
        features: float [M, D], their features, as `inference.predictor.predict` returns them.
        count: at most how many for each.

    Returns:
        M lists, nearest first.
    """
    train_rows = find_training_rows(trained, examples) if len(rows) else np.array([], np.int64)
    if not len(train_rows):
        return [[] for _ in rows]
    distances = _distances_to(trained, examples, train_rows, features)
    distances[rows[:, None] == train_rows] = np.inf
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return [
        [
            Neighbour(int(train_rows[place]), int(examples.labels[train_rows[place]]), float(line[place]))
            for place in places
            if np.isfinite(line[place])
        ]
        for line, places in zip(distances, nearest, strict=True)
    ]


def _distances_to(
    trained: Trained, examples: Examples, train_rows: np.ndarray, features: np.ndarray
) -> np.ndarray:
    """Compute the distances [M, T] in chunks: the features of all training images could be too large."""
    chunk = 4 * LARGEST_BATCH
    parts = []
    with terminal.show_steps(
        terminal.make_console(), "training images' features", len(train_rows)
    ) as advance:
        for start in range(0, len(train_rows), chunk):
            images = examples.images[train_rows[start : start + chunk]]
            parts.append(cosine_distances(features, predict(trained.network, images)[1]))
            advance(len(images))
    return np.concatenate(parts, axis=1)


def write_pictures(
    trained: Trained, part: LabelledRows, logits: np.ndarray, *, stem: Path
) -> tuple[list[Json], dict[str, str]]:
    """Write the pictures of mistakes, saliency and neighbours; a picture without content is left out.

    `STEM_faces.json` holds the same tiles (picture -> what `report.contact_sheet.sheet_record` returns), from
    which a page lays them out for its screen. `logits` are float64 [N, C], `stem` path and start of the
    names.

    Returns:
        The 35 most confident mistakes for the record, labels in words, each with its 5 nearest training
        images; and picture -> file name, of `mistakes` (1040 × 1968 pixels if full), `saliency` (1559 × 1684:
        3 faces of each class) and `neighbours` (1262 × 1466: 5 of the mistakes, of different kinds first).
    """
    examples, rows, labels, names = part.examples, part.rows, part.labels, trained.network.names
    mistakes = find_mistakes(logits, labels, rows, count=MISTAKE_COUNT)
    wrong = np.array([each.row for each in mistakes], np.int64)
    features = predict(trained.network, examples.images[wrong])[1]
    neighbours = find_neighbours(trained, examples, wrong, features, count=NEIGHBOUR_COUNT)
    wrong_count = int((logits.argmax(axis=1) != labels).sum())
    with terminal.show_steps(terminal.make_console(), "drawing mistakes and saliency", None):
        sheets = {
            "mistakes": _lay_out_mistakes(
                examples,
                mistakes,
                names,
                title=f"{trained.title}: {wrong_count:,} of {counted(len(rows), 'image')} misclassified",
            ),
            "saliency": _lay_out_saliency(trained, examples, rows, logits),
            "neighbours": _lay_out_neighbours(examples, mistakes, neighbours, names, title=trained.title),
        }
    files = {}
    for name, sheet in sheets.items():
        path = stem.with_name(f"{stem.name}_{name}.png")
        # A picture of an earlier evaluation would look as if it belonged to this one.
        path.unlink(missing_ok=True)
        if sheet is not None:
            with replacing(path) as new:
                tile_sheet(sheet).save(new, format="PNG", optimize=True)
            files[name] = path.name
    tiles = {name: sheet_record(sheet) for name, sheet in sheets.items() if sheet is not None}
    write_json(stem.with_name(f"{stem.name}_faces.json"), tiles)
    return [_to_json(*each, names) for each in zip(mistakes, neighbours, strict=True)], files


def _name(label: int, names: Sequence[str]) -> str:
    # FER+ decides no label for some of the images that a run was trained on.
    return "undecided" if label == fer2013.UNLABELLED else names[label]


def _to_json(mistake: Mistake, neighbours: list[Neighbour], names: Sequence[str]) -> Json:
    near = [each._asdict() | {"label": _name(each.label, names)} for each in neighbours]
    words = {"true": names[mistake.true], "predicted": names[mistake.predicted]}
    return mistake._asdict() | words | {"neighbours": near}


def _lay_out_mistakes(
    examples: Examples, mistakes: Sequence[Mistake], names: Sequence[str], *, title: str
) -> Sheet | None:
    if not mistakes:
        return None
    tiles = [Tile(examples.images[each.row], _caption(each, names)) for each in mistakes]
    rows = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    return Sheet(
        rows=rows,
        zoom=4,
        row_labels=[""] * len(rows),
        column_labels=[""] * _COLUMNS,
        wide_gaps_after=(),
        title=title,
        subtitle=f"The {counted(len(mistakes), 'most confident mistake')}, in this order: true → "
        "predicted label, and the network's probability of the predicted one.",
    )


def _caption(mistake: Mistake, names: Sequence[str]) -> Caption:
    words = f"{names[mistake.true]} → {names[mistake.predicted]}"
    return (words, "plain"), (confidence(mistake.confidence), "quiet")


def _lay_out_neighbours(
    examples: Examples,
    mistakes: Sequence[Mistake],
    neighbours: list[list[Neighbour]],
    names: Sequence[str],
    *,
    title: str,
) -> Sheet | None:
    if not any(neighbours):
        return None
    # One of each confusion before a second: five of the same kind would show less.
    seen: Counter[tuple[int, int]] = Counter()
    turns = []
    for number, each in enumerate(mistakes):
        turns.append((seen[each.true, each.predicted], number))
        seen[each.true, each.predicted] += 1
    chosen = [number for _, number in sorted(turns)[:SHOWN_WITH_NEIGHBOURS]]
    rows = []
    for number in chosen:
        mistake = mistakes[number]
        roles: dict[int, Role] = {mistake.true: "right", mistake.predicted: "wrong"}
        rows.append([Tile(examples.images[mistake.row], _caption(mistake, names))])
        for near in neighbours[number]:
            role = roles.get(near.label, "plain")
            caption: Caption = (_name(near.label, names), role), (f"distance {near.distance:.3f}", "quiet")
            rows[-1].append(Tile(examples.images[near.row], caption))
    return Sheet(
        rows=rows,
        zoom=4,
        row_labels=[""] * len(rows),
        column_labels=["mistake", "nearest", "2nd", "3rd", "4th", "5th"],
        wide_gaps_after=(0,),
        title=f"{title}: mistakes and their nearest training images",
        subtitle="Nearest by the cosine distance of the last features; under each its label: "
        "blue is the mistake's true label, orange the predicted one.",
    )


def _lay_out_saliency(trained: Trained, examples: Examples, rows: np.ndarray, logits: np.ndarray) -> Sheet:
    labels, (predicted, confidences) = examples.labels[rows], _answers(logits)
    of_class = (np.flatnonzero(labels == label) for label in range(logits.shape[1]))
    network = trained.network
    picked = {
        network.names[label]: numpy_rng(0, Stream.SHOW, label).permutation(places)[:FACES_PER_CLASS]
        for label, places in enumerate(of_class)
        if len(places)
    }
    places = np.concatenate(list(picked.values()))
    faces = examples.images[rows[places]]
    cams, gradients = (
        np.asarray(
            show(network.model, network.variables, faces, predicted[places], pixel_stats=network.pixel_stats)
        )
        for show in (saliency.grad_cam, saliency.input_gradients)
    )
    triples = []
    for number, place in enumerate(places):
        is_right, said = predicted[place] == labels[place], network.names[predicted[place]]
        first: tuple[str, Role] = (f"✓ {said}", "right") if is_right else (f"✗ {said}", "wrong")
        caption: Caption = (first, (confidence(confidences[place]), "quiet"))
        maps = (_overlay(faces[number, ..., 0], cams[number]), _colour(_stretch(gradients[number])))
        triples.append([Tile(faces[number], caption), *(Tile(each, ()) for each in maps)])
    ends = np.cumsum([len(some) for some in picked.values()])
    lines = [
        [tile for triple in triples[end - len(some) : end] for tile in triple]
        for end, some in zip(ends, picked.values(), strict=True)
    ]
    return Sheet(
        rows=lines,
        zoom=3,
        row_labels=list(picked),
        column_labels=["face", "Grad-CAM", "gradient"] * FACES_PER_CLASS,
        wide_gaps_after=range(2, 3 * FACES_PER_CLASS - 1, 3),
        title=f"{trained.title}: what the network looks at",
        subtitle="Random faces of each class; under each the network's prediction (✓ right, ✗ wrong). "
        "Grad-CAM (Selvaraju et al. 2017): where the last convolution block finds evidence for it. "
        "Gradient (Simonyan et al. 2013): the pixels whose change would move its logit most. "
        "Both maps are scaled to each face's maximum, which is yellow; the weaker third of Grad-CAM is "
        "transparent.",
    )


def _stretch(heat: np.ndarray) -> np.ndarray:
    """Scale a map so that its top hundredth is 1: a single outlier would leave all other pixels dark."""
    return np.minimum(heat / max(float(np.quantile(heat, 0.99)), np.finfo(np.float32).tiny), 1)


def _colour(heat: np.ndarray) -> np.ndarray:
    """Colour a map 0..1 [48, 48], uint8 [48, 48, 3]; viridis also works in gray and for the colour-blind."""
    return (255 * _HEAT(heat)[..., :3]).round().astype(np.uint8)


def _overlay(face: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Overlay a gray face with a map 0..1, both [48, 48], where it is strong; uint8 [48, 48, 3].

    The weaker third is transparent, and opacity grows from there: the face must be seen through the map.
    """
    opacity = 0.7 * np.clip((heat[..., None] - _WEAK) / (1 - _WEAK), 0, 1)
    return ((1 - opacity) * face[..., None] + opacity * _colour(heat)).round().astype(np.uint8)

"""What an epoch shows: plans of works as classes, of cliques for triplets, of pairs for the twin.

A plan is a pure function of (seed, epoch): for each step the rows of the tracks in the batch and
their targets. So a resumed run sees what an uninterrupted one would have seen.

Papers: Cao 2020 (MulKINet), classes; Yesiler, Serra, Gomez 2020 (MOVE), cliques; the Siamese
release (vignejs 2020), pairs.
"""

import dataclasses
import itertools
import zlib

import numpy as np

from mulkinet.errors import MulkinetError

__all__ = [
    "CLIQUE_RULES",
    "Plan",
    "class_plan",
    "clique_plan",
    "in_turn",
    "labels_of",
    "pair_plan",
    "random_stream",
]

# What comes in an epoch: works by MOVE's rule, every work once, or every track once as the first of its clique.
CLIQUE_RULES = ("move", "works", "tracks")
_MOST_APPEARANCES = 4
_EPOCHS_PER_ROUND = 4


@dataclasses.dataclass(frozen=True)
class Plan:
    """What one epoch shows.

    Attributes:
        steps: list of (rows, targets). Classes: rows (batch,), targets (batch,) works. Cliques:
            rows (batch,), targets (batch, 2) work and row. Pairs: rows (batch, 2), targets (batch,)
            0 for two performances of a work, 1 otherwise. rows are int64, targets int32.
        seed: (seed, epoch), from which crops and augmentation are drawn.
        turns: (steps,) int, which of the lengths of crops a step has; None where there is one.
    """

    steps: list
    seed: tuple
    turns: np.ndarray = None


def in_turn(plans, seed):
    """One plan of several of any numbers of steps, a step of each in turn (CQTNet's crops of three lengths).

    `seed` is (seed, epoch) of the whole; `turns` of the Plan say which of the plans a step is of.
    """
    dealt = itertools.zip_longest(*(plan.steps for plan in plans))
    steps = [(turn, step) for round_ in dealt for turn, step in enumerate(round_) if step]
    turns, steps = zip(*steps)
    return Plan(list(steps), seed, np.asarray(turns))


def random_stream(name, *numbers):
    """A np.random.Generator of its own for everything that is drawn: by its name, and numbers in [0, 2**32).

    NumPy takes (1, 2) and (1, 2, 0) for the same seed; with its name in front no stream of one kind is another's, and a
    name has as many numbers for every stream.
    """
    return np.random.default_rng((zlib.crc32(name.encode()), *numbers))


def labels_of(work_ids):
    """(classes, labels) of (N,) work_ids: the distinct ones, (C,) sorted, and each track's class, (N,) int32.

    Raises:
        MulkinetError: There are fewer than two works.
    """
    classes, labels = np.unique(np.asarray(work_ids), return_inverse=True)
    if len(classes) < 2:
        raise MulkinetError(
            f"expected at least 2 works to train on, found {len(classes)}; name more in the list"
        )
    return classes, labels.astype(np.int32)


def class_plan(rows, labels, *, batch_size, seed, epoch):
    """Every track once, in an order drawn anew for each epoch (MulKINet's softmax training).

    The last batch is not a small remainder: batches differ by at most one track in size, so that
    none is too small for batch normalisation.

    Args:
        rows: (N,) int64 rows of the training tracks.
        labels: (N,) int32 their works.
        batch_size: int >= 1, the most tracks in a batch.
        seed: int >= 0.
        epoch: int >= 0.
    """
    order = random_stream("order of tracks", seed, epoch).permutation(len(rows))
    steps = [(rows[part], labels[part]) for part in _evenly(order, batch_size)]
    return Plan(steps, (seed, epoch))


def clique_plan(rows, labels, *, batch_size, tracks_per_work, seed, epoch, rule="move"):
    """Batches of several works with K tracks each.

    By MOVE's rule (there with K = 4) a work comes once in an epoch, and once more for every K tracks
    beyond its first K + 1, up to four times; by "works" (Discogs-VINet, K = 2) once; by "tracks"
    (Discogs-VINet at MIREX 2024, K = 4) once for each of its tracks, which is one of the K. The others
    are drawn at random; where a work has fewer, each comes equally often, and
    which of them once more is drawn. Works of one track are left out. Every batch has two works or
    more, since one alone has no negatives: of an odd number of cliques, two to a batch, three come
    together, and a work that comes too often for the others to share its batches comes less often.
    The targets hold each track's row too, so that one that was drawn twice is not taken for its own cover.

    Args:
        rows: As for `class_plan`, like `labels`, `seed` and `epoch`.
        labels: (N,) int32.
        batch_size: int, the most tracks in a batch (but see above), at least 2 * tracks_per_work.
        tracks_per_work: int >= 2, K.
        seed: int >= 0.
        epoch: int >= 0.
        rule: One of `CLIQUE_RULES`.

    Raises:
        MulkinetError: The batch has no room for two works, or fewer than two works have covers.
    """
    if tracks_per_work < 2 or batch_size < 2 * tracks_per_work:
        raise MulkinetError(
            "expected at least 2 tracks per work and 2 works in a batch, found "
            f"{tracks_per_work} tracks per work in a batch of {batch_size}; raise --batchsize"
        )
    rng = random_stream("cliques", seed, epoch)
    members = _tracks_of_works(labels)
    sizes = np.asarray([len(tracks) for tracks in members])
    counts = _appearances(rule, sizes, tracks_per_work) * (sizes > 1)
    if np.count_nonzero(counts) < 2:
        raise MulkinetError(
            f"expected at least 2 works of 2 or more tracks, found {np.count_nonzero(counts)}; "
            "this loss needs covers: name more in the list"
        )
    most, per_batch = counts.argmax(), batch_size // tracks_per_work
    counts[most] = min(counts[most], (per_batch - 1) * (counts.sum() - counts[most]))
    appearances = np.repeat(np.arange(len(counts)), counts)
    n_batches = min(-(-len(appearances) // per_batch), len(appearances) // 2)
    if rule == "tracks":
        firsts = [iter(rng.permutation(tracks)) for tracks in members]
    steps = []
    for part in _deal(appearances, n_batches, rng):
        first = [next(firsts[work]) if rule == "tracks" else None for work in part]
        drawn = [_draw(members[w], tracks_per_work, rng, f) for w, f in zip(part, first)]
        drawn = np.concatenate(drawn)
        targets = np.stack([labels[drawn], rows[drawn]], axis=1).astype(np.int32)
        steps.append((rows[drawn], targets))
    return Plan(steps, (seed, epoch))


def pair_plan(rows, labels, *, batch_size, seed, epoch):
    """Pairs of performances of a work, each beside a pair of two works (the Siamese release).

    Every ordered pair of performances of a work comes once in four epochs, a quarter in each; with
    it comes a pair of its first track and one drawn from another work. Arguments are those of `class_plan`, with
    `batch_size` >= 2, the most pairs in a batch.

    Raises:
        MulkinetError: No work has two performances, or there is only one work.
    """
    pairs = np.concatenate([_ordered_pairs(tracks) for tracks in _tracks_of_works(labels)])
    if not len(pairs) or len(set(labels)) < 2:
        raise MulkinetError(
            "expected works with at least 2 performances, and at least 2 works, found "
            f"{len(pairs)} pairs of {len(set(labels))} works; name more in the list"
        )
    # Fewer than four pairs make fewer parts, so that no epoch is empty.
    n_parts = min(_EPOCHS_PER_ROUND, len(pairs))
    round_rng = random_stream("round of pairs", seed, epoch // n_parts)
    parts = np.array_split(round_rng.permutation(len(pairs)), n_parts)
    rng = random_stream("pairs of two works", seed, epoch)
    steps = []
    for part in _evenly(parts[epoch % n_parts], max(1, batch_size // 2)):
        first, second = pairs[part].T
        other = _draw_from_other_works(labels, labels[first], rng)
        left, right = np.concatenate([first, first]), np.concatenate([second, other])
        targets = np.repeat(np.asarray([0, 1], np.int32), len(part))
        steps.append((np.stack([rows[left], rows[right]], axis=1), targets))
    return Plan(steps, (seed, epoch))


def _evenly(items, most):
    """Parts of at most `most` items, which differ by at most one in size."""
    return np.array_split(items, -(-len(items) // most))


def _deal(appearances, n_batches, rng):
    """The works of each batch: random parts, with a swap where one holds a single work."""
    parts = np.array_split(rng.permutation(appearances), n_batches)
    for part in parts:
        if (part == part[0]).all():
            # No work comes more often than is said above, so that some batch has two others.
            for other in rng.permutation(n_batches):
                places = np.flatnonzero(parts[other] != part[0])
                if len(places) > 1:
                    part[0], parts[other][places[0]] = parts[other][places[0]], part[0]
                    break
    return parts


def _tracks_of_works(labels):
    """List of the positions of each work's tracks."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _appearances(rule, sizes, tracks_per_work):
    """How often works of so many tracks come in an epoch."""
    if rule == "move":
        return np.minimum(_MOST_APPEARANCES, 1 + (sizes - 2) // tracks_per_work)
    return np.ones_like(sizes) if rule == "works" else sizes


def _draw(tracks, n, rng, first=None):
    """Of a work's tracks n, each as often as any other or once more; `first`, where it is named, among them."""
    if first is not None and len(tracks) > n:
        return np.append(first, rng.choice(tracks[tracks != first], n - 1, replace=False))
    whole = np.repeat(tracks, n // len(tracks))
    return np.concatenate([whole, rng.choice(tracks, n % len(tracks), replace=False)])


def _ordered_pairs(tracks):
    first, second = np.meshgrid(tracks, tracks, indexing="ij")
    return np.stack([first, second], axis=-1)[~np.eye(len(tracks), dtype=bool)]


def _draw_from_other_works(labels, works, rng):
    """For each of `works`, the position of a track of another work, each equally likely."""
    order = np.argsort(labels, kind="stable")
    begin, end = (np.searchsorted(labels[order], works, side) for side in ("left", "right"))
    drawn = rng.integers(len(labels) - (end - begin))
    # A draw at or past the work's own tracks, which lie together in this order, skips them.
    return order[drawn + np.where(drawn >= begin, end - begin, 0)]

"""A collection's embeddings into an index, without making again what is there.

A track's key is the pair (work_id, track_id). An embedding is taken over wherever the content is known: from
the index, or from a copy within the collection. What an interrupted run has extracted is kept
(`mulkinet.features.cache`); embedding it takes little time.
"""

import itertools
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from mulkinet.errors import MulkinetError
from mulkinet.identify.chroma import NO_CHROMA, KeptChroma, chroma_of
from mulkinet.identify.index_file import IDS

__all__ = ["Changes", "update", "remove", "keep", "in_batches"]

_SHOWN = 3
# What may change while the content stays.
_NAMES = ("title", "path", "stamp")


class Changes(NamedTuple):
    """What became of the tracks.

    Attributes:
        added: Tracks that were not in the index.
        replaced: Tracks whose content was another.
        unchanged: Tracks that were in the index already.
        removed: Tracks taken out.
        embedded: Embeddings that had to be made.
        repeated: Of these, those of tracks shorter than the model was trained on, which were repeated.
        skipped: list of (path, reason) of tracks that cannot be used.
        notes: list of (path, note) of tracks that were used in a way that their user should know of.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    removed: int = 0
    embedded: int = 0
    repeated: int = 0
    skipped: list = []
    notes: list = []


def update(data, collection, embedder, *, n_workers, batch_size, progress):
    """Adds a collection to an index.

    Args:
        data: IndexData; empty for a new index.
        collection: What `open_collection` gives.
        embedder: Embedder of the index's model.
        n_workers: Processes that extract features.
        batch_size: Tracks embedded at a time.
        progress: Whether to show a progress bar.

    Returns:
        (IndexData, Changes); `data` itself where nothing had to be changed.

    Raises:
        MulkinetError: No track of the collection can be used.
    """
    known = dict(zip(data.ids["content"], data.embeddings))
    chromas = _chromas(data)
    missing = {
        entry.content: entry
        for entry in collection.entries
        if entry.content not in known or (chromas is not None and entry.content not in chromas)
    }
    reasons, notes, n_repeated = {}, [], 0
    with tqdm(
        total=len(collection.entries),
        initial=len(collection.entries) - len(missing),
        unit="track",
        disable=None if progress else True,
    ) as bar:
        for batch in in_batches(
            collection.recordings(list(missing.values()), n_workers), batch_size
        ):
            reasons.update(
                (entry.content, found) for entry, found in batch if isinstance(found, str)
            )
            heard = [pair for pair in batch if not isinstance(pair[1], str)]
            known.update(_embed(heard, embedder, collection.name, batch_size))
            if chromas is not None:
                chromas.update(
                    (entry.content, chroma_of(track, embedder)) for entry, track in heard
                )
            notes += [(collection.name(entry), track.note) for entry, track in heard if track.note]
            n_repeated += sum(track.seconds < embedder.least_sec for _, track in heard)
            bar.update(len(batch))
    usable = [entry for entry in collection.entries if entry.content in known]
    skipped = collection.skipped + [
        (collection.name(entry), reasons[entry.content])
        for entry in collection.entries
        if entry.content in reasons
    ]
    if not usable:
        first = f", the first {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise MulkinetError(
            f"expected at least one usable track, found none, {len(skipped)} skipped{first}"
        )
    changed, changes = _merge(data, usable, known)
    if chromas is not None and (changed is not data or missing):
        tracks = [chromas.get(content, NO_CHROMA) for content in changed.ids["content"]]
        changed = replace(changed, chroma=KeptChroma.of_tracks(tracks))
    n_embedded = len(missing) - len(reasons)
    changes = changes._replace(
        embedded=n_embedded, repeated=n_repeated, skipped=skipped, notes=notes
    )
    return changed, changes


def remove(data, names):
    """(IndexData, Changes) without works, or tracks (`<work_id>/<track_id>`), that are named.

    Raises:
        MulkinetError: The index does not hold one of them, or would be left empty.
    """
    works, tracks = data.ids["work_id"], data.ids["track_id"]
    paths = np.array([f"{work}/{track}" for work, track in zip(works, tracks)], dtype=object)
    is_out = np.zeros(len(data), bool)
    unknown = []
    for name in names:
        found = (works == name) | (paths == name)
        is_out |= found
        if not found.any():
            unknown.append(name)
    if unknown:
        more = ", ..." if len(unknown) > _SHOWN else ""
        raise MulkinetError(
            f"expected works or <work>/<track> of the index, found {len(unknown)} that it does not "
            f"hold ({', '.join(unknown[:_SHOWN])}{more}); nothing was removed"
        )
    if is_out.all():
        raise MulkinetError(
            f"expected tracks to be left, found that all {len(data)} would go; delete the file"
        )
    return keep(data, ~is_out), Changes(removed=int(is_out.sum()))


def in_batches(items, size):
    """Lists of `size` items, the last one perhaps shorter."""
    items = iter(items)
    while batch := list(itertools.islice(items, size)):
        yield batch


def _chromas(data):
    """Dict of content to chroma, of the tracks that have it; None where the index keeps none."""
    if data.chroma is None:
        return None
    tracks = ((content, data.chroma.track(row)) for row, content in enumerate(data.ids["content"]))
    return {content: frames for content, frames in tracks if len(frames)}


def _embed(heard, embedder, name_of, batch_size):
    """Dict of content to embedding."""
    embeddings = embedder.embed([recording for _, recording in heard], batch_size)
    finite = np.isfinite(embeddings).all(axis=1)
    if not finite.all():
        raise MulkinetError(
            f"expected finite embeddings, found NaN or infinity for {name_of(heard[np.argmin(finite)][0])}; "
            "the model has diverged, use another"
        )
    return {entry.content: embedding for (entry, _), embedding in zip(heard, embeddings)}


def _merge(data, entries, embeddings):
    row_of = {key: row for row, key in enumerate(zip(data.ids["work_id"], data.ids["track_id"]))}
    contents = data.ids["content"]
    there = [entry for entry in entries if entry[:2] in row_of]
    same = [entry for entry in there if contents[row_of[entry[:2]]] == entry.content]
    unchanged = {entry[:2] for entry in same}
    appended = [entry for entry in entries if entry[:2] not in unchanged]
    n_replaced = len(there) - len(same)
    changes = Changes(len(entries) - len(there), n_replaced, len(same))
    data = _with_names(data, {row_of[entry[:2]]: entry for entry in same})
    if not appended:
        return data, changes
    outdated = np.zeros(len(data), bool)
    outdated[[row_of[entry[:2]] for entry in there if entry[:2] not in unchanged]] = True
    kept = keep(data, ~outdated) if n_replaced else data
    columns = {
        name: np.append(kept.ids[name], np.array([getattr(one, name) for one in appended], object))
        for name in IDS
    }
    rows = np.stack([embeddings[entry.content] for entry in appended]).astype(np.float32)
    embeddings = np.concatenate([kept.embeddings, rows])
    return replace(kept, ids=columns, embeddings=embeddings, survey=None), changes


def _with_names(data, entries):
    """The index with the names of `entries` by row; `data` itself if it has them."""
    ids = {**data.ids, **{name: data.ids[name].copy() for name in _NAMES}}
    for row, entry in entries.items():
        for name in _NAMES:
            ids[name][row] = getattr(entry, name)
    is_same = all((ids[name] == data.ids[name]).all() for name in _NAMES)
    return data if is_same else replace(data, ids=ids)


def keep(data, mask):
    """The index of some of its tracks, (N,) bool."""
    # What the recall was measured on is no longer there.
    cells = data.cells and replace(data.cells, cell=data.cells.cell[mask], recall=None)
    ids = {name: data.ids[name][mask] for name in IDS}
    chroma = data.chroma and data.chroma.keep(mask)
    embeddings = data.embeddings[mask]
    return replace(data, ids=ids, embeddings=embeddings, cells=cells, chroma=chroma, survey=None)

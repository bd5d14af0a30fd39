"""A folder of `<song>_<version>.npy`, as SHS100K's features come, to a store."""

import functools
from pathlib import Path

from mulkinet.data.arrays import refuse_values
from mulkinet.data.lists import Remaining, drop_missing, tracks_of_list
from mulkinet.data.npy_folder import NpyFolder, read_npy
from mulkinet.data.store import FeatureStore
from mulkinet.errors import SkippedInput
from mulkinet.sources.conversion import Item, convert, file_signature

__all__ = ["convert_npy_dir"]


def convert_npy_dir(npy_dir, path, *, lists=(), skip_missing=False, force=False, progress=True):
    """Makes a store of a folder of `.npy` files.

    Args:
        npy_dir: The folder.
        path: The store to make.
        lists: List files of the tracks to take; all by default.
        skip_missing: Leave out listed tracks that have no file, and works of which only one track
            is left for that reason.
        force: Make the store again, whatever is there.
        progress: Show a progress bar.

    Returns:
        (mulkinet.sources.conversion.Conversion, {list: mulkinet.data.lists.Remaining}), where tracks
        that could not be used are missing too.

    Raises:
        MulkinetError: The folder or a list is not usable, listed tracks have no file, or see
            `convert`.
    """
    folder = NpyFolder(npy_dir)
    [feature] = folder.features
    remaining = {
        list_path: tracks_of_list(folder, list_path, skip_missing=skip_missing)
        for list_path in lists
    }
    wanted = dict.fromkeys(pair for kept in remaining.values() for pair in kept.pairs)
    rows = [folder.rows_by_key[pair] for pair in wanted] if lists else range(len(folder))
    items, skipped = [], []
    if not lists:
        skipped += [(file.name, reason) for file, reason in folder.foreign]
    for row in rows:
        key = str(folder.work_ids[row]), str(folder.track_ids[row])
        try:
            items.append(Item(key, folder.file(row), file_signature(folder.file(row))))
        except SkippedInput as error:
            skipped.append(("/".join(key), str(error)))
    result = convert(
        items,
        functools.partial(_read_track, feature=feature),
        path,
        name=Path(path).stem,
        settings={feature: folder.settings(feature)},
        attributes={
            "source": "npy-dir",
            "n_missing": sum(kept.n_missing for kept in remaining.values()),
            "n_dropped": sum(kept.n_dropped for kept in remaining.values()),
        },
        skipped=skipped,
        force=force,
        progress=progress,
    )
    store = FeatureStore(result.store_path)
    return result, {list_path: _in_store(store, kept) for list_path, kept in remaining.items()}


def _in_store(store, listed):
    """Remaining of a list, without what could not be used either."""
    left = drop_missing(store, listed.pairs)
    n_missing, n_dropped = left.n_missing + listed.n_missing, left.n_dropped + listed.n_dropped
    return Remaining(left.pairs, n_missing, n_dropped)


def _read_track(path, feature):
    frames = read_npy(path, feature)
    refuse_values(frames, feature)
    return {feature: frames}

"""The Siamese release's own store (`testset.h5`, `trainset.h5`, `valset.h5`), read with h5py alone.

Conventions: a pandas HDFStore; `/<feature>/table` is a compound data set of rows, 12 consecutive
rows are one track: `values_block_0` its 500 frames, `chroma_bins` the bin from 0 to 11, `track_id`
and `work_id` bytes. The tracks' first 180 s are resized to those frames by area, as
`mulkinet.features.resize` does. Attributes of the file that hold pickled objects are never read.

Source: vignejs, cover-song-identification, release 0.1.0. For the licence of its code see there;
of its features we know of none.
"""

import functools
from pathlib import Path

import numpy as np

from mulkinet.data.arrays import refuse_values
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features.resize import TrackLength
from mulkinet.files.foreign_hdf5 import find_dataset, names_in, open_hdf5
from mulkinet.sources.conversion import Item, convert, file_signature
from mulkinet.sources.da_tacos import FEATURES, extraction_settings

__all__ = ["convert_testset"]

_N_BINS = 12
_COLUMNS = ("chroma_bins", "track_id", "work_id")
_VALUES = "values_block_0"
_ROWS_AT_ONCE = 12 * 1024
# Some 500 frames take 2 kB.
_MAX_ROW_BYTES = 1 << 16


def convert_testset(hdf_path, path, *, force=False, progress=True):
    """Makes a store of a file of the Siamese release, with every feature in it.

    Args:
        hdf_path: The pandas HDFStore.
        path: The store to make.
        force: Make the store again, whatever is there.
        progress: Show a progress bar.

    Returns:
        mulkinet.sources.conversion.Conversion; tracks that not all features have are skipped.

    Raises:
        MulkinetError: The file is not in the format, or see `convert`.
    """
    try:
        with open_hdf5(hdf_path) as file:
            held = set(names_in(file))
            tables = {
                feature: _find_table(file, feature) for feature in FEATURES if feature in held
            }
            lengths = {feature: table.dtype[_VALUES].shape[0] for feature, table in tables.items()}
            rows = {feature: _find_tracks(table, feature) for feature, table in tables.items()}
    except SkippedInput as error:
        raise MulkinetError(f"{hdf_path}: {error}") from error
    if not rows:
        raise MulkinetError(
            f"expected the group of a feature ({', '.join(FEATURES)}) in {hdf_path}, found none; "
            "is it the testset.h5 of the Siamese release?"
        )
    everywhere = set.intersection(*map(set, rows.values()))
    skipped = [
        ("/".join(key), "not every feature of the file has it")
        for key in sorted(set().union(*rows.values()) - everywhere)
    ]
    signature = file_signature(hdf_path)
    return convert(
        [
            Item(key, tuple((feature, rows[feature][key]) for feature in rows), signature)
            for key in sorted(everywhere)
        ],
        functools.partial(_read_track, hdf_path),
        path,
        name=Path(path).stem,
        settings={
            feature: TrackLength(n_frames).settings(extraction_settings(feature))
            for feature, n_frames in lengths.items()
        },
        attributes={"source": "siamese-testset"},
        skipped=skipped,
        force=force,
        progress=progress,
    )


def _find_table(file, feature):
    name = f"{feature}/table"
    table = find_dataset(file, name)
    names = table.dtype.names or ()
    missing = [column for column in (_VALUES, *_COLUMNS) if column not in names]
    if missing or len(table.shape) != 1:
        raise SkippedInput(
            f"expected {name} to be rows with {', '.join(missing or names)}, found "
            f"{table.dtype} of shape {table.shape}; is it the testset.h5 of the Siamese release?"
        )
    kinds = [table.dtype[column].base.kind for column in (_VALUES, *_COLUMNS)]
    if kinds != ["f", "i", "S", "S"] or len(table.dtype[_VALUES].shape) != 1:
        raise SkippedInput(f"expected numbers and bytes in {name}, found {table.dtype}")
    if table.dtype.itemsize > _MAX_ROW_BYTES:
        raise SkippedInput(f"expected rows of at most {_MAX_ROW_BYTES} bytes in {name}")
    return table


def _find_tracks(table, feature):
    """{(work_id, track_id): first row}; the table is looked through in parts."""
    rows = {}
    if len(table) % _N_BINS:
        raise SkippedInput(
            f"expected {_N_BINS} rows for each track in {feature}/table, found {len(table)} rows"
        )
    for start in range(0, len(table), _ROWS_AT_ONCE):
        bins, tracks, works = (
            table.fields(column)[start : start + _ROWS_AT_ONCE].reshape(-1, _N_BINS)
            for column in _COLUMNS
        )
        whole = (bins == np.arange(_N_BINS)).all(axis=1)
        whole &= (tracks == tracks[:, :1]).all(axis=1) & (works == works[:, :1]).all(axis=1)
        keys = [tuple(map(_text, pair)) for pair in zip(works[:, 0], tracks[:, 0])]
        for number, key in enumerate(keys):
            if not whole[number] or key in rows:
                raise SkippedInput(
                    f"expected the {_N_BINS} rows of each track together and once in "
                    f"{feature}/table, found something else at row {start + number * _N_BINS}, "
                    f"work {key[0]}, track {key[1]}"
                )
            rows[key] = start + number * _N_BINS
    return rows


def _text(value):
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise SkippedInput(f"expected ids in UTF-8, found {bytes(value)!r}") from error


def _read_track(hdf_path, rows):
    arrays = {}
    with open_hdf5(hdf_path) as file:
        for feature, row in rows:
            table = find_dataset(file, f"{feature}/table")
            bins = table.fields(_VALUES)[row : row + _N_BINS]
            arrays[feature] = bins.T.astype(np.float32)
            refuse_values(arrays[feature], feature)
    return arrays

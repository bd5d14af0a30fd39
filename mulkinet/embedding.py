"""Embeddings of a store's tracks, prepared as the model was trained to see them.

A network of fixed length sees the first frames of a track, a network of any length the whole track, in
batches of tracks of equal length. A track that is shorter than the model was trained to see is repeated
from its beginning, so that an excerpt gives the same embedding wherever it comes from; zeros at the end
would make all short tracks look alike. `pad="zero"` fills up with zeros as published systems do: to the
length that the network must have, and no further.
"""

import functools
import logging
import math

import numpy as np
from tqdm import tqdm

from mulkinet.data.averaged import at_rate_of
from mulkinet.errors import MulkinetError
from mulkinet.features.resize import wrap
from mulkinet.models import PADS

__all__ = [
    "check_compatible",
    "embed",
    "embed_arrays",
    "fixed_frames",
    "least_frames",
    "prepare_track",
    "trained_frames",
]


def embed(model, store, *, rows=None, feature=None, batch_size=32, pad="wrap", progress=False):
    """Embeds tracks of a store.

    Args:
        model: EmbeddingNetwork.
        store: FeatureStore.
        rows: (N,) rows of the store; all by default.
        feature: The store's feature to use; by default the one of the model's metadata, or the only
            one there is.
        batch_size: Tracks at a time, >= 1; fewer when they are long. It changes speed and memory,
            not the result.
        pad: What short tracks are filled up with: "wrap" repeats them, "zero" is as published.
        progress: Show a progress bar.

    Returns:
        (N, embedding_len) float32, in the order of `rows`.

    Raises:
        MulkinetError: The store's features are not what the model was trained on, or not finite.

    Examples:
        >>> from mulkinet import FeatureStore, build_model, embed
        >>> embed(build_model("keyconv", embedding_len=32), FeatureStore("sample.h5")).shape
        (3, 32)
    """
    _check_model(model)
    if pad not in PADS:
        raise MulkinetError(f"pad: expected one of {', '.join(PADS)}; found {pad!r}")
    store = at_rate_of(model, store, feature)
    feature = check_compatible(model, store, feature=feature)
    rows = np.arange(len(store)) if rows is None else np.asarray(rows, dtype=np.int64)
    lengths = np.diff(store.offsets(feature))[rows]
    _report_short(model, lengths, pad)
    seen = [_seen_frames(model, length, pad) for length in lengths]
    embeddings = np.empty((len(rows), model.embedding_len), np.float32)
    kernels = model.transformed_kernels()
    with tqdm(
        total=len(rows), unit="track", desc="embedding", disable=None if progress else True
    ) as bar:
        for batch in _batches(seen, batch_size):
            x = np.stack([_load(model, store, feature, rows[i], pad) for i in batch])
            embeddings[batch] = model.embed_batch(x, kernels)
            bar.update(len(batch))
    return embeddings


def embed_arrays(model, arrays, *, batch_size=32):
    """(n, embedding_len) float32 of n arrays in memory, (n_bins, frames) as `prepare_track` gives them.

    Those of equal length are embedded `batch_size` at a time.
    """
    embeddings = np.empty((len(arrays), model.embedding_len), np.float32)
    kernels = model.transformed_kernels()
    for batch in _batches([x.shape[1] for x in arrays], batch_size):
        embeddings[batch] = model.embed_batch(np.stack([arrays[i] for i in batch]), kernels)
    return embeddings


def trained_frames(model):
    """Frames that a model saw of a track in training; None if its metadata does not say."""
    # Networks of any length say it where the trainer noted the options of the run.
    settings = model.metadata.get("training", {}).get("settings", {})
    return fixed_frames(model) or settings.get("n_frames")


def least_frames(model):
    """Frames up to which a model's tracks are repeated."""
    return trained_frames(model) or model.padded_frames


def prepare_track(model, x, pad="wrap"):
    """Brings one track to the length a model sees.

    Args:
        model: EmbeddingNetwork.
        x: (n_bins, n_frames).
        pad: As for `embed`.

    Returns:
        (n_bins, frames) float32: the first frames, filled up at the end when there are too few.

    Raises:
        MulkinetError: `x` has another number of bins.
    """
    if x.ndim != 2 or x.shape[0] != model.n_bins:
        raise MulkinetError(
            f"{model.network} expects features of shape ({model.n_bins} bins, frames), "
            f"found {x.shape}"
        )
    n_frames = _seen_frames(model, x.shape[1], pad)
    x = np.asarray(x[:, :n_frames], np.float32)
    if x.shape[1] == n_frames:
        return x
    if pad == "wrap":
        return wrap(x, n_frames)
    return np.pad(x, ((0, 0), (0, n_frames - x.shape[1])))


_OF_THE_RECORDING = ("tuning", "trimmed")


def check_compatible(model, store, *, feature=None):
    """Checks that a store's features were made as those the model was trained on.

    Args:
        model: EmbeddingNetwork; settings that its metadata does not name are not compared.
        store: FeatureStore.
        feature: As for `embed`.

    Returns:
        str: the feature to use.

    Raises:
        MulkinetError: No such feature, another number of bins, or a setting that differs (named).
    """
    feature = feature or model.metadata.get("feature")
    if feature is None:
        if len(store.features) != 1:
            raise MulkinetError(
                f"expected one feature to embed, found {', '.join(store.features)} in "
                f"{store.path}; name one"
            )
        feature = store.features[0]
    found = at_rate_of(model, store, feature).settings(feature)
    expected = {"n_bins": model.n_bins, **model.metadata.get("feature_settings", {})}
    # Another version of an extractor is no other feature: only what it was told is compared. Nor is a tuned
    # recording, or one without silence, another kind of thing than one that needs neither.
    differences = [
        f"{name} {found.get(name, 'unknown')} instead of {value}"
        for name, value in expected.items()
        if not name.endswith("version")
        and name not in _OF_THE_RECORDING
        and not _same(found.get(name), value)
    ]
    if differences:
        raise MulkinetError(
            f"{store.path}'s {feature} was extracted with other settings than the model's: found "
            f"{', '.join(differences)}; extract it with the model's settings"
        )
    return feature


def _same(found, expected):
    if isinstance(found, float) or isinstance(expected, float):
        return found is not None and math.isclose(found, expected, rel_tol=1e-6)
    return found == expected


def _check_model(model):
    # A Keras model knows neither its feature nor what it was trained to see.
    if not hasattr(model, "metadata"):
        raise MulkinetError(
            f"expected a network of mulkinet, found {type(model).__module__}.{type(model).__name__}; "
            "make one with mulkinet.load_model or mulkinet.build_model"
        )


def fixed_frames(model):
    """Frames that a model takes of every track; None where it takes the whole."""
    return model.n_frames or model.metadata.get("n_frames")


def _seen_frames(model, n_frames, pad):
    """Frames that the model sees of a track of `n_frames`."""
    least = least_frames(model) if pad == "wrap" else model.padded_frames
    return fixed_frames(model) or max(n_frames, least)


def _report_short(model, lengths, pad):
    least = least_frames(model)
    n_short = int((lengths < least).sum())
    if n_short and pad == "wrap":
        _warn_once(
            f"{n_short} of {len(lengths)} tracks are shorter than {least} frames and were repeated to that "
            "length"
        )


@functools.cache
def _warn_once(line):
    """Says a line that training would repeat after every epoch."""
    logging.getLogger("mulkinet").warning(line)


def _batches(lengths, batch_size):
    """Index arrays of tracks of equal length, at most `batch_size` each, short tracks first."""
    lengths = np.asarray(lengths)
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        for start in range(0, len(same), batch_size):
            yield same[start : start + batch_size]


def _load(model, store, feature, row, pad):
    frames = store.read(feature, row, n_frames=fixed_frames(model))
    if not np.isfinite(frames).all():
        store.check_finite(feature, rows=[row])
    return prepare_track(model, frames.T, pad)

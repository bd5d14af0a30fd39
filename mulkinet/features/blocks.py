"""Features of recordings of any length, a block at a time: three hours within the memory of a few minutes.

A recording of up to 7.5 minutes is one block, and its features are those of the extractor to the last bit. A longer
one is cut into blocks of 90 s, each extracted with 10 s of what is around it, which are left out again. How far they
are from those of the whole is in docs/explanations/features.md.

Conventions: samples are (n_samples,) float32, mono at 44.1 kHz, in pieces of any length, one behind the other;
features (n_bins, n_frames) float32.
"""

import collections
import functools

import numpy as np

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features import extractor
from mulkinet.features.provenance import SR, quiet

__all__ = ["features_in_blocks", "whole_features"]

# A mean of 20 frames of the constant-Q spectrum, and 5 frames of crema's network: blocks begin where frames do.
_FRAME = 20480
_LONGEST_SONG = 969 * _FRAME
_BLOCK = 194 * _FRAME
_CONTEXT = 22 * _FRAME


def features_in_blocks(pieces, features, is_tuned=False):
    """Extracts features of samples as they come.

    Args:
        pieces: Iterable of (n_samples,), such as `AudioFile.pieces()`, or what comes out of a pipe.
        features: Names from `mulkinet.features.FEATURES`.
        is_tuned: As for `mulkinet.features.extractor`; each block has the tuning that is estimated of it.

    Yields:
        dict of feature to (n_bins, n_frames) float32: the frames that follow those of the last block, as they are
        before `whole` of the extractor, which does nothing but for `cqt_cqtnet`.

    Raises:
        SkippedInput: A feature is not finite; or what `pieces` raises.
        MulkinetError: No recording can be used, since the environment is broken; before `pieces` begin.
    """
    for feature in features:
        _try_out(feature, is_tuned)
    for y, before, n_samples in _blocks(pieces):
        frames = {}
        for feature in features:
            extract = extractor(feature, is_tuned)
            with quiet():
                x = extract.part(y)
            if not np.isfinite(x).all():
                raise SkippedInput(
                    f"expected finite values, found NaN or infinity in its {feature}"
                )
            rate = extract.settings["frame_rate"]
            first = round(before * rate / SR)
            end = None if n_samples is None else first + round(n_samples * rate / SR)
            frames[feature] = x[:, first:end]
        del y
        yield frames


def whole_features(pieces, features, is_tuned=False):
    """Features of a recording that comes in pieces: dict of feature to (n_bins, n_frames) float32.

    Arguments and errors are those of `features_in_blocks`.
    """
    blocks = list(features_in_blocks(pieces, features, is_tuned))
    return {
        feature: extractor(feature, is_tuned).whole(
            blocks[0][feature]
            if len(blocks) == 1
            else np.concatenate([frames[feature] for frames in blocks], axis=1)
        )
        for feature in features
    }


@functools.cache
def _try_out(feature, is_tuned):
    """Extracts a feature of a plain tone, once in a process: what is broken then is no recording's fault."""
    try:
        import av  # noqa: F401
        import soxr  # noqa: F401

        with quiet():
            extractor(feature, is_tuned)(_tone())
    except MulkinetError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise MulkinetError(
            f"expected an environment in which {feature} can be extracted, found that of a plain tone it cannot "
            f"({type(error).__name__}: {reason}); no recording is at fault: mend the installation"
        ) from error


def _tone():
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * SR) / SR)).astype(np.float32)


def _blocks(pieces):
    """Yields (samples with what is around them, how many come before, how many are the block's; None is all)."""
    waiting, n_waiting, before = collections.deque(), 0, 0
    least = _LONGEST_SONG
    for piece in pieces:
        waiting.append(piece)
        n_waiting += len(piece)
        while n_waiting - before > least:
            y = _take(waiting, before + _BLOCK + _CONTEXT)
            waiting.appendleft(y[before + _BLOCK - _CONTEXT :].copy())
            n_waiting -= before + _BLOCK - _CONTEXT
            block, y = (y, before, _BLOCK), None
            yield block
            before, block = _CONTEXT, None
            # Half a block is left for the last one, at least.
            least = _BLOCK + _BLOCK // 2 + _CONTEXT
    yield _take(waiting, n_waiting), before, None


def _take(waiting, n):
    """(n,) samples from the beginning of a deque of pieces, which gives them up: nothing is held twice."""
    y, n_taken = np.empty(n, np.float32), 0
    while n_taken < n:
        piece = waiting.popleft()
        part = piece[: n - n_taken]
        y[n_taken : n_taken + len(part)] = part
        n_taken += len(part)
        if len(part) < len(piece):
            waiting.appendleft(piece[len(part) :])
    return y

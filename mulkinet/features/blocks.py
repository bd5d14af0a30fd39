"""Features of recordings of any length, a block at a time: three hours within the memory of a few minutes.

A recording of up to 7.5 minutes is one block, and its features are those of the extractor to the last bit. A longer
one is cut into blocks of 5 minutes, each extracted with 20 s of what is around it, which are left out again. Of
synthetic chords the blocks' features were those of the whole for hpcp, to 1e-6 for the constant-Q spectra, and to
1e-4 on average (.03 at most) for chroma_cens. crema's spectrum is in dB below the loudest of its block, and its network
recurrent: how far its blocks are from the whole was not measured.

Conventions: samples are (n_samples,) float32, mono at 44.1 kHz, in pieces of any length, one behind the other;
features (n_bins, n_frames) float32.

Public names: `features_in_blocks`, `features_of_file`, `whole_features`.
"""

import numpy as np

from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.features import extractor
from mulkinet.features.provenance import SR, quiet

__all__ = ["features_in_blocks", "features_of_file", "whole_features"]

# A mean of 20 frames of the constant-Q spectrum, and 5 frames of crema's network: blocks begin where frames do.
_FRAME = 20480
_BLOCK = 646 * _FRAME
_CONTEXT = 43 * _FRAME
# The last block has half a block more at most, and half a block at least.
_READ_AHEAD = _BLOCK // 2


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
    """
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
    """Extracts features of a recording that comes in pieces.

    Args:
        pieces: As for `features_in_blocks`.
        features: As for `features_in_blocks`.
        is_tuned: As for `features_in_blocks`.

    Returns:
        dict of feature to (n_bins, n_frames) float32.

    Raises:
        SkippedInput: As `features_in_blocks`.
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


def features_of_file(file, features, is_tuned=False):
    """Extracts features of a file.

    Args:
        file: AudioFile.
        features: As for `features_in_blocks`.
        is_tuned: As for `features_in_blocks`.

    Returns:
        dict of feature to (n_bins, n_frames) float32.

    Raises:
        SkippedInput: The file cannot be used.
        MulkinetError: No file can, since the environment is broken.
    """
    try:
        return whole_features(file.pieces(), features, is_tuned)
    except SkippedInput:
        raise
    except Exception:
        # Is it this file, or would any do?
        _try_out(features, is_tuned)
        raise


def _try_out(features, is_tuned):
    try:
        import av  # noqa: F401
        import soxr  # noqa: F401

        whole_features([_tone()], features, is_tuned)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise MulkinetError(
            f"expected an environment in which {', '.join(features)} can be extracted, found that of a plain tone it "
            f"cannot ({type(error).__name__}: {reason}); no recording is at fault: mend the installation"
        ) from error


def _tone():
    return (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * SR) / SR)).astype(np.float32)


def _blocks(pieces):
    """Yields (samples with what is around them, how many come before, how many are the block's; None is all)."""
    waiting, n_waiting, before = [], 0, 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += len(piece)
        while n_waiting - before >= _BLOCK + _READ_AHEAD + _CONTEXT:
            y = np.concatenate(waiting)
            # Nothing is held twice while the block is worked on.
            waiting = [y[before + _BLOCK - _CONTEXT :].copy()]
            block, y = (y[: before + _BLOCK + _CONTEXT], before, _BLOCK), None
            yield block
            n_waiting, before, block = len(waiting[0]), _CONTEXT, None
    y, waiting = np.concatenate([np.zeros(0, np.float32), *waiting]), None
    yield y, before, None

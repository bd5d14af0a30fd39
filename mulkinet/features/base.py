"""What extractors have in common."""

from mulkinet.features.provenance import made_by
from mulkinet.features.tuning import estimate_tuning

__all__ = ["FeatureExtractor"]


class FeatureExtractor:
    """From samples to one feature.

    Attributes:
        settings: dict of everything the feature depends on; of a tuned one `tuning` is "estimated".
        is_tuned: Whether pitches are those of a recording that was tuned to 440 Hz.

    Args:
        package: Package that extracts it.
        settings: dict of what it is told.
        is_tuned: As the attribute.

    Raises:
        MulkinetError: The package is not installed.
    """

    def __init__(self, package, settings, is_tuned=False):
        self.settings = {
            **made_by(package),
            **settings,
            **({"tuning": "estimated"} if is_tuned else {}),
        }
        self.is_tuned = is_tuned

    def __call__(self, y):
        """The feature of a recording, (n_samples,) float32, mono at 44.1 kHz.

        (n_bins, n_frames) float32, `settings["frame_rate"]` frames per second.
        """
        return self.whole(self.part(y))

    def part(self, y):
        """The feature of a part of a recording, as `__call__`; frames depend on what is near them."""
        return self._frames(y, estimate_tuning(y) if self.is_tuned else 0.0)

    def _frames(self, y, tuning):
        """`part` of a recording that is `tuning` semitones above 440 Hz."""
        raise NotImplementedError

    def whole(self, x):
        """What depends on all frames of a recording: (n_bins, n_frames) of `part` -> the same, float32."""
        return x

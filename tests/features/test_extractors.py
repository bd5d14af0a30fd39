"""Each extractor on a C major triad, whose notes must be found where `bin0` says."""

import contextlib
import importlib.metadata
import os
import threading
import warnings

import numpy as np
import pytest

from mulkinet.errors import MulkinetError
from mulkinet.features import FEATURES, extractor
from mulkinet.features.crema import _nearest
from mulkinet.features.provenance import SR, made_by, quiet

SECONDS = 6
SEMITONES_ABOVE = {"C": 0, "A": 9}


def tone(midi, seconds=SECONDS):
    """A note with four harmonics."""
    time_sec = np.arange(int(SR * seconds)) / SR
    hz = 440 * 2 ** ((midi - 69) / 12)
    return sum(0.1 / k * np.sin(2 * np.pi * hz * k * time_sec) for k in range(1, 5))


@pytest.fixture(scope="module")
def triad():
    """C4, E4 and G4 together, (n_samples,) float32."""
    return sum(tone(midi) for midi in (60, 64, 67)).astype(np.float32)


@pytest.fixture(scope="module")
def extracted(triad):
    """dict of feature to what its extractor makes of the triad."""
    return {feature: extractor(feature)(triad) for feature in FEATURES}


@pytest.mark.parametrize("feature", FEATURES)
def test_c_major_is_found_at_c_e_g(feature, extracted):
    x = extracted[feature]
    settings = extractor(feature).settings
    energy = (x**2).reshape(-1, 12, x.shape[1]).sum(axis=0).mean(axis=1)
    # Rolled so that index 0 is C whatever the feature's own bin 0.
    from_c = np.roll(energy, SEMITONES_ABOVE[settings["bin0"]])
    assert sorted(np.argsort(from_c)[-3:].tolist()) == [0, 4, 7]
    assert from_c[[0, 4, 7]].sum() > 0.6 * from_c.sum()


@pytest.mark.parametrize("feature", FEATURES)
def test_shape_and_settings_agree(feature, extracted):
    x, settings = extracted[feature], extractor(feature).settings
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert np.isfinite(x).all()
    assert x.shape[0] == settings["n_bins"]
    assert x.shape[1] == pytest.approx(SECONDS * settings["frame_rate"], abs=2)
    assert settings["extractor_version"] == importlib.metadata.version(settings["extractor"])
    assert {"sr", "hop_length", "bin0"} <= settings.keys()


def test_frame_counts_are_those_of_da_tacos(extracted):
    # 264600 samples: crema counts whole hops, librosa one more, essentia also the frames it pads.
    n_hops = SECONDS * SR // 512
    assert extracted["crema"].shape == (12, n_hops)
    assert extracted["chroma_cens"].shape == (12, n_hops + 1)
    assert extracted["hpcp"].shape == (12, n_hops + 2)
    assert extracted["cqt"].shape == (84, (SECONDS * 22050 // 512 + 1) // 20)


def test_the_lowest_constant_q_bin_is_c1():
    low = extractor("cqt")(tone(24 + 7).astype(np.float32)).mean(axis=1)
    assert np.argmax(low[:12]) == 7


def test_hpcp_has_a_maximum_of_one_and_is_empty_in_silence(extracted):
    np.testing.assert_allclose(extracted["hpcp"][:, 10:-10].max(axis=0), 1, atol=1e-6)
    silent_end = np.concatenate([tone(69, 1), np.zeros(SR)]).astype(np.float32)
    assert (extractor("hpcp")(silent_end)[:, -40:] == 0).all()


def test_chroma_cens_frames_have_length_one(extracted):
    np.testing.assert_allclose(np.linalg.norm(extracted["chroma_cens"], axis=0), 1, atol=1e-5)


def test_nearest_resampling_equals_a_naive_loop():
    model_frames = np.arange(5)[None]
    expected = []
    for frame in range(43):
        distances = [abs(frame * 512 - i * 4096) for i in range(5)]
        expected.append(int(np.argmin(distances)))
    assert _nearest(model_frames, 43, 1.0).tolist() == [expected]


def test_extractors_are_made_once_and_names_checked():
    assert extractor("hpcp") is extractor("hpcp")
    with pytest.raises(MulkinetError, match="expected a feature .* found 'mfcc'"):
        extractor("mfcc")


def test_a_missing_package_is_named(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(MulkinetError, match=r"essentia.*pip install 'mulkinet\[audio\]'"):
        made_by("essentia")


def test_quiet_silences_warnings_but_not_errors():
    def library():
        warnings.warn("noise", stacklevel=1)
        raise ValueError("through")

    with pytest.raises(ValueError, match="through"), quiet():
        library()
    with pytest.warns(UserWarning, match="noise"), pytest.raises(ValueError, match="through"):
        library()


def test_quiet_threads_leave_output_and_warnings_as_they_were(capfd):
    filters, inside = list(warnings.filters), threading.Barrier(2)

    def library():
        # The second begins before the first ends, where they do not wait for each other.
        with contextlib.suppress(threading.BrokenBarrierError), quiet():
            inside.wait(timeout=0.2)

    threads = [threading.Thread(target=library) for _ in range(2)]
    for thread in threads:
        thread.start()
    os.write(1, b"meanwhile\n")
    for thread in threads:
        thread.join()
    os.write(1, b"sound\n")
    assert capfd.readouterr() == ("meanwhile\nsound\n", "")
    assert list(warnings.filters) == filters

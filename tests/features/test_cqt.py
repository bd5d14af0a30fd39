"""The front ends of CQTNet and Discogs-VINet: what the authors' own scripts made of one recording."""

import numpy as np
import pytest

from mulkinet.features import cqt, extractor
from mulkinet.features.cqt import front_end

LEAST = np.float32(1e-6)


@pytest.fixture(scope="module")
def golden(shared):
    with np.load(shared / "reference" / "golden" / "cqtnet" / "frontend.npz") as arrays:
        return dict(arrays)


def padded(x, n_frames):
    return np.pad(x, ((0, 0), (0, n_frames - x.shape[1])))


def test_cqtnet(golden):
    """Means of 20 frames over the track's maximum; zeros up to 200 frames or the crop follow."""
    x = front_end(golden["cqt_magnitude"], "cqtnet")
    npy = golden["cqtnet/npy"]
    np.testing.assert_allclose(x, npy / (npy.max() + LEAST), rtol=1e-5, atol=1e-7)
    for key, n_frames in (("test", 200), ("test_400", 400)):
        expected = golden[f"cqtnet/loader/{key}"]
        np.testing.assert_allclose(padded(x, n_frames), expected, rtol=1e-5, atol=1e-7)


def test_cqtnet_of_a_long_track(shared, golden):
    """Divided by the maximum of the whole, of which a crop is the beginning."""
    with np.load(shared / "reference" / "golden" / "cqtnet" / "networks.npz") as arrays:
        means = 3 * arrays["input/853"]
    x = front_end(np.repeat(means, 20, axis=1), "cqtnet")
    for key, n_frames in (("long_test", 853), ("long_test_400", 400)):
        expected = golden[f"cqtnet/loader/{key}"]
        np.testing.assert_allclose(x[:, :n_frames], expected, rtol=1e-5, atol=1e-7)


def test_vinets_own_store_gives_the_same(golden):
    stored = golden["vinet/stored_float16"].T
    expected = front_end(golden["cqt_magnitude"], "vinet")
    np.testing.assert_array_equal(front_end(stored, "vinet"), expected)


def test_vinet(golden):
    """Rounded to float16, the last mean filled up; the division by the maximum is the network's."""
    x = front_end(golden["cqt_magnitude"], "vinet")
    assert x.shape == (84, 44)
    divided = x / (x.max() + LEAST)
    for key, n_frames in (("context7600", 380), ("context8000", 400), ("test_dataset", 200)):
        expected = golden[f"vinet/{key}"]
        np.testing.assert_allclose(padded(divided, n_frames), expected, rtol=1e-5, atol=1e-7)


def test_vinet_of_a_long_track(golden):
    """Nothing is filled up, so the last frames, which fill no mean, are left out as in its script without a context."""
    magnitudes = np.tile(golden["cqt_magnitude"], 5)  # 4310 frames
    x = front_end(magnitudes, "vinet")
    assert x.shape == (84, 215)
    first = golden["vinet/context1"]
    np.testing.assert_allclose(x[:, :43] / (x[:, :43].max() + LEAST), first, rtol=1e-5, atol=1e-7)


def test_whole_means_only(golden):
    np.testing.assert_allclose(
        front_end(golden["cqt_magnitude"], "plain"), golden["cqtnet/npy"], rtol=1e-5, atol=1e-7
    )


def test_from_audio(golden):
    """From 44.1 kHz, as everything is decoded: but for the resampling the same."""
    librosa = pytest.importorskip("librosa")
    pcm = golden["pcm"].astype(np.float32) / 32768
    y = librosa.resample(pcm, orig_sr=22050, target_sr=44100, res_type="soxr_hq")
    for feature, key in (("cqt_cqtnet", "cqtnet/loader/test"), ("cqt_vinet", "vinet/test_dataset")):
        x = extractor(feature)(y)
        x = x / (x.max() + LEAST)
        assert np.abs(padded(x, 200) - golden[key]).max() < 2e-3


def test_the_librosa_of_cqtnets_time(shared, golden):
    """What the module says of it: at most 4 % of the maximum."""
    with np.load(shared / "reference" / "golden" / "cqtnet" / "frontend_librosa063.npz") as arrays:
        old = arrays["cqtnet/npy"]
    new = front_end(golden["cqt_magnitude"], "cqtnet")
    difference = np.abs(old / old.max() - new)
    assert 0.02 < difference.max() < 0.041
    assert np.sqrt(np.mean(difference**2)) < 0.005


def test_silence_stays_silent():
    assert not front_end(np.zeros((84, 40), np.float32), "cqtnet").any()


def test_settings_tell_the_front_ends_apart():
    kinds = [cqt.settings_of(feature).get("front_end") for feature in cqt.FRONT_ENDS]
    assert kinds == [None, "cqtnet", "vinet"]
    assert cqt.settings_of("cqt") == cqt.SETTINGS

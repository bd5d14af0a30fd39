"""Augmentation: each step against numpy, its probabilities by counting, padding never mixed in."""

import numpy as np
import pytest
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.training import augment
from mulkinet.training.augment import (
    Augmentation,
    MaskBins,
    MaskFrames,
    RollTime,
    RotatePitch,
    ShiftPitch,
    StretchTime,
    Tempo,
    WarpTime,
    augmentation,
)

N_TRACKS, WIDTH = 3000, 60
SEED = np.asarray([3, 14], np.int32)


@pytest.fixture(scope="module")
def ramps():
    """Frame t holds t + 1; what is behind the music is NaN, so that no step may look at it."""
    lengths = np.random.default_rng(0).integers(1, WIDTH + 1, N_TRACKS).astype(np.int32)
    frames = np.arange(WIDTH, dtype=np.float32)
    x = np.where(frames < lengths[:, None], frames + 1, np.nan)
    return np.repeat(x[:, None], 12, axis=1).astype(np.float32), lengths


def music_of(step, ramps, seed=SEED):
    """(array of frame numbers for each track after a step, lengths before)."""
    x, lengths = step(tf.constant(ramps[0]), tf.constant(ramps[1]), tf.constant(seed))
    tracks = [track[0, :n] for track, n in zip(x.numpy(), lengths.numpy())]
    assert all(np.isfinite(track).all() and len(track) for track in tracks)
    return tracks, ramps[1]


def test_roll_starts_anywhere_and_keeps_all(ramps):
    starts = set()
    for track, n in zip(*music_of(RollTime(), ramps)):
        np.testing.assert_array_equal(np.roll(np.arange(n) + 1, 1 - int(track[0])), track)
        if n == WIDTH:
            starts.add(track[0])
    assert len(starts) > 20


def test_rotation_is_a_roll_of_the_pitch_classes():
    x = np.arange(12, dtype=np.float32)[None, :, None] + 100 * np.arange(5, dtype=np.float32)
    x = np.tile(x, (1200, 1, 1))
    rotated, lengths = RotatePitch()(tf.constant(x), tf.fill([1200], 5), tf.constant(SEED))
    assert (lengths.numpy() == 5).all()
    semitones = np.argmin(rotated[:, :, 0].numpy(), axis=1)
    for before, after, n in zip(x[:50], rotated.numpy(), semitones):
        np.testing.assert_array_equal(np.roll(before, n, axis=0), after)
    counts = np.bincount(semitones, minlength=12)
    assert counts.min() > 60
    assert counts.max() < 140


def test_rotation_needs_pitch_classes():
    with pytest.raises(MulkinetError, match="12 pitch classes to rotate, found 84 bins"):
        RotatePitch()(tf.zeros([1, 84, 5]), tf.fill([1], 5), tf.constant(SEED))
    augmentation("stretch+masks").check_bins(84)
    augmentation("move").check_bins(12)
    with pytest.raises(MulkinetError, match="found 84 bins; train with --augment none, or steps"):
        augmentation("masks+move").check_bins(84)


def test_shift_moves_bins_and_lets_nothing_round():
    x = np.tile(np.arange(1, 85, dtype=np.float32)[:, None], (600, 1, 2))
    lengths = np.full(600, 2, np.int32)
    y, after = ShiftPitch()(tf.constant(x), tf.constant(lengths), tf.constant(SEED))
    np.testing.assert_array_equal(after, lengths)
    seen = np.zeros(12, int)
    for track in y.numpy():
        semitones = int(40 - track[40, 0]) + 1
        expected = np.zeros((84, 2), np.float32)
        for number in range(84):
            if 0 <= number - semitones < 84:
                expected[number] = number - semitones + 1
        np.testing.assert_array_equal(track, expected)
        seen[semitones + 6] += 1
    # 600 draws of 12 shifts: 50 each, within four standard deviations.
    assert np.abs(seen - 50).max() < 4 * np.sqrt(600 * 11 / 144)


@pytest.mark.parametrize(("factors", "least", "most"), [("even", 0.7, 1.5), ("normal", 0.7, 1.3)])
def test_stretch_takes_the_nearest_frame(ramps, factors, least, most):
    stretched = []
    for track, n in zip(*music_of(StretchTime(1.0, factors), ramps)):
        if len(track) < WIDTH:
            expected = np.round(np.linspace(0, n - 1, len(track))) + 1
            assert np.abs(track - expected).max() <= 1
            assert track[0] == 1
            assert track[-1] == (n if len(track) > 1 else 1)
        if n >= 20:
            assert np.floor(least * n) <= len(track) <= min(np.floor(most * n) + 1, WIDTH)
            stretched.append(len(track) / n)
    if factors == "normal":
        # P(|normal| <= 0.3) = 0.2358; all others stay.
        assert np.mean(np.asarray(stretched) != 1) == pytest.approx(0.236, abs=0.03)
    else:
        # 0.2 of the draws are clipped to 0.7; 1 - p in (0.7, 1] for p < 0.3, and so on.
        assert np.mean(np.asarray(stretched) < 0.75) == pytest.approx(0.25, abs=0.04)


def test_a_third_is_stretched(ramps):
    tracks, lengths = music_of(StretchTime(0.3), ramps)
    changed = [len(t) != n for t, n in zip(tracks, lengths) if 20 <= n <= WIDTH // 1.5]
    # Factors near 1 leave short tracks as they are.
    assert 0.2 < np.mean(changed) < 0.3


def test_warp_silences_duplicates_or_removes(ramps):
    x = ramps[0][:, :, :40], np.full(N_TRACKS, 40, np.int32)
    x = np.nan_to_num(x[0], nan=5.0), x[1]
    kinds = {"same": 0, "silenced": [], "duplicated": [], "removed": []}
    wide = np.pad(x[0], ((0, 0), (0, 0), (0, 40)), constant_values=np.nan)
    wide[:, :, :40] = np.arange(1, 41)
    for track, _ in zip(*music_of(WarpTime(0.3), (wide, x[1]))):
        if (track == 0).any():
            kinds["silenced"].append(np.mean(track == 0))
            assert (track[track > 0] == np.arange(1, 41)[track > 0]).all()
        elif len(track) > 40:
            kinds["duplicated"].append(len(track) / 40 - 1)
            assert set(np.diff(track)) <= {0, 1}
        elif len(track) < 40:
            kinds["removed"].append(1 - len(track) / 40)
            assert (np.diff(track) >= 1).all()
        else:
            kinds["same"] += 1
    assert kinds["same"] / N_TRACKS == pytest.approx(0.7, abs=0.03)
    for kind, share, rate in (
        ("silenced", 0.3, 0.1),
        ("duplicated", 0.4, 0.15),
        ("removed", 0.3, 0.1),
    ):
        assert len(kinds[kind]) / N_TRACKS == pytest.approx(0.3 * share, abs=0.025)
        assert np.mean(kinds[kind]) == pytest.approx(rate, abs=0.01)


def test_one_frame_always_stays(ramps):
    everything = WarpTime(1.0, shares=(0, 0, 1), frame_probabilities=(0, 0, 1))
    tracks, _ = music_of(everything, ramps)
    assert {len(track) for track in tracks} == {1}


def test_masks_lie_within_the_music(ramps):
    tracks, lengths = music_of(MaskFrames(n_masks=1, widest=10), ramps)
    widths = []
    for track, n in zip(tracks, lengths):
        masked = np.flatnonzero(track == 0)
        assert len(track) == n
        assert len(masked) <= 10
        if len(masked):
            assert masked[-1] - masked[0] == len(masked) - 1
        if n >= 10:
            widths.append(len(masked))
    assert set(widths) == set(range(11))
    x = tf.ones([2000, 12, 4])
    masked, _ = MaskBins(n_masks=1, widest=3)(x, tf.fill([2000], 4), tf.constant(SEED))
    bins = (masked.numpy() == 0).all(axis=2).sum(axis=1)
    assert set(bins) == {0, 1, 2, 3}
    assert ((masked.numpy() == 0).any(axis=2).sum(axis=1) == bins).all()


@pytest.mark.parametrize("pad", ["zero", "wrap"])
def test_crops_begin_where_told_and_are_padded(pad):
    lengths = np.repeat(np.asarray([3, 6, 9], np.int32), 200)
    x = np.repeat(np.arange(1.0, 11)[None], 600, axis=0)
    x = np.where(x <= lengths[:, None], x, np.nan).astype(np.float32)[:, None]
    starts = np.where(lengths == 9, np.arange(600) % 4, 0).astype(np.int32)
    sizes = {"n_frames": 6, "pad": pad}
    crops = Augmentation([])(x, lengths, starts, tf.constant(SEED), **sizes).numpy()[:, 0]
    short, whole, long = crops[:200], crops[200:400], crops[400:]
    assert (short == ([1, 2, 3, 0, 0, 0] if pad == "zero" else [1, 2, 3, 1, 2, 3])).all()
    assert (whole == np.arange(1, 7)).all()
    np.testing.assert_array_equal(long[:, 0], starts[400:] + 1)
    assert (np.diff(long) == 1).all()


@pytest.mark.parametrize(("pad", "music"), [("zero", 15), ("wrap", 25)])
def test_masks_are_drawn_over_the_crop(pad, music):
    """Of a source of 200 frames, or of 15, every mask is within the 25 frames that are seen."""
    for length, seen in ((200, 25), (15, music)):
        x = np.ones((2000, 12, 200), np.float32)
        lengths = np.full(2000, length, np.int32)
        # Before the crop by their place, after it all the same.
        augment = Augmentation([MaskFrames(n_masks=1, widest=10), RollTime()])
        starts = np.zeros(2000, np.int32)
        crops = augment(x, lengths, starts, tf.constant(SEED), n_frames=25, pad=pad).numpy()
        masked = (crops[:, 0, :seen] == 0).sum(axis=1)
        assert set(masked) == set(range(11))
        # Widths from 0 to 10, each as likely: 2000 / 11 of none, and 5 on the average.
        assert 120 < (masked == 0).sum() < 250
        assert masked.mean() == pytest.approx(5, abs=0.25)
        assert (crops[:, 0, seen:] == 0).all()


@pytest.mark.parametrize("name", ["move", "siamese"])
def test_recipes_are_seeded_and_fill_the_crop(name, ramps):
    augment = augmentation(name)
    x, lengths = np.nan_to_num(ramps[0][:64]), np.full(64, 40, np.int32)
    starts = np.arange(64, dtype=np.int32) % 16
    graph = tf.function(lambda seed: augment(x, lengths, starts, seed, n_frames=25))
    first, again, other = (graph(np.asarray([s, 1], np.int32)).numpy() for s in (5, 5, 6))
    assert first.shape == (64, 12, 25)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    np.testing.assert_array_equal(
        augment(x, lengths, starts, np.asarray([5, 1], np.int32), n_frames=25), first
    )
    assert np.isfinite(first).all()
    # Read so many frames, a crop is full even when the track was shortened most.
    assert augment.source_frames(25) == 40


def test_only_what_may_shorten_a_track_reads_more_of_it():
    assert augmentation("roll+rotate+shift+masks").source_frames(25) == 25
    assert augmentation("stretch").source_frames(7) == 10
    assert augmentation("warp").source_frames(9) == 10


def test_names():
    assert augmentation("none") is None
    assert [type(step).__name__ for step in augmentation("move+masks").steps] == [
        "RotatePitch",
        "StretchTime",
        "WarpTime",
        "MaskBins",
        "MaskFrames",
    ]
    assert augmentation("roll+warp").steps == (RollTime(), WarpTime(0.3))
    for name, found in (("mvoe", "mvoe"), ("move+mvoe", "mvoe"), ("", ""), ("move+", "")):
        with pytest.raises(MulkinetError, match=f"expected --augment none or .*found '{found}'"):
            augmentation(name)


@pytest.mark.parametrize("n_levels", [None, 256])
def test_tempo_resizes_as_images_are(rng, n_levels):
    image = pytest.importorskip("PIL.Image")
    x = np.zeros((40, 84, 60), np.float32)
    x[:, :, :46] = rng.random((40, 84, 46)) * 5
    arguments = (x, np.full(40, 46, np.int32), SEED)
    played, lengths = (
        a.numpy() for a in Tempo(n_levels)(*(tf.constant(value) for value in arguments))
    )
    # 46 * 0.7 and 46 * 1.3 are 32.2 and 59.8.
    assert 32 <= lengths.min() < 36
    assert 56 < lengths.max() <= 59
    for before, after, n in zip(x[:, :, :46], played, lengths):
        step = (before.max() + 1) / 255
        levels = before if n_levels is None else (before / step).astype(np.uint8)
        resized = image.fromarray(levels).resize((int(n), 84), image.Resampling.BILINEAR)
        expected = np.asarray(resized) * (1 if n_levels is None else step)
        # PIL's weights for 8-bit images are whole numbers: a level more or less.
        atol = 5e-5 if n_levels is None else 1.01 * step
        np.testing.assert_allclose(after[:, :n], expected, atol=atol)


def played_at(monkeypatch, x, factor):
    """x (84, T), by way of an image of 256 levels, at a factor of its length: (84, its new length), and its step."""
    share = np.float32((factor - 0.7) / 0.6)
    monkeypatch.setattr(augment, "_uniform", lambda like, _: tf.fill(tf.shape(like), share))
    n_frames = int(x.shape[1] * factor)
    room = np.pad(x, ((0, 0), (0, max(0, n_frames - x.shape[1])))).astype(np.float32)
    played, [n] = Tempo(256)(tf.constant(room[None]), tf.constant([x.shape[1]]), tf.constant(SEED))
    assert n == n_frames
    return played.numpy()[0, :, :n_frames], (x.max() + 1) / 255


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.3])
def test_cqtnets_own_tempo(shared, monkeypatch, factor):
    """Of its loader; its images' weights are whole numbers, so that a value may be a level off."""
    golden = np.load(shared / "reference/golden/cqtnet/frontend.npz")
    # A factor of 1.3 or 0.7 is no float32: a little more gives the same length.
    played, step = played_at(monkeypatch, golden["cqtnet/augment/input"], factor + 1e-4)
    difference = np.abs(played - golden[f"cqtnet/augment/speed{factor}"].T) / step
    assert difference.max() < 1.01
    assert difference.mean() < 0.1


def test_cqtnets_own_bands_and_training(shared, monkeypatch):
    """Bands, tempo, division and crop, with what NumPy drew for it."""
    golden = np.load(shared / "reference/golden/cqtnet/frontend.npz")
    masked, _ = banded(5, golden["cqtnet/augment/input"])
    np.testing.assert_array_equal(masked, golden["cqtnet/augment/specaugment_twice_seed5"])
    networks = np.load(shared / "reference/golden/cqtnet/networks.npz")
    masked, rng = banded(11, 3 * networks["input/853"])
    played, step = played_at(monkeypatch, masked, rng.uniform(0.7, 1.3))
    start = rng.randint(played.shape[1] - 200)
    crop = played[:, start : start + 200] / played.max()
    difference = np.abs(crop - golden["cqtnet/augment/train_seed11"]) / (step / played.max())
    assert difference.max() < 1.01
    assert difference.mean() < 0.1


def banded(seed, x):
    """(x with the two bands that CQTNet's loader draws, as `MaskBins` sets them; the generator, after that)."""
    rng, places = np.random.RandomState(seed), []
    for _ in range(2):
        width = rng.randint(0, 24)
        start = rng.randint(0, 84 - width)
        places += range(start, start + width)
    hidden = np.isin(np.arange(84), places)[None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(augment, "_bands", lambda *_: tf.constant(hidden))
        masked, _ = MaskBins()(tf.constant(x[None], tf.float64), tf.constant([x.shape[1]]), SEED)
    return masked.numpy()[0], rng


def test_published_bands(rng):
    """Two of up to 23 bins each; the highest of 84 bins is in none."""
    x, lengths = tf.ones((2000, 84, 3)), tf.fill([2000], 3)
    augment = augmentation("cqtnet")
    masked = augment(x, lengths, tf.zeros([2000], tf.int32), tf.constant(SEED), n_frames=2)
    hidden = masked.numpy()[:, :, 0] == 0
    assert 40 < hidden.sum(axis=1).max() <= 46
    assert hidden.sum(axis=1).mean() == pytest.approx(2 * 11.5, abs=3)  # less what they share
    assert not hidden[:, 83].any()
    assert hidden[:, [0, 82]].any(axis=0).all()
    assert augment.source_frames(200) == 286
    assert augmentation("tempo+bands").steps == augment.steps
    assert augmentation("cqtnet-8bit").steps[0].n_levels == 256

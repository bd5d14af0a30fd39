"""Time of `preprocess.py da-tacos` against a plain serial loop of h5py and OpenCV.

Makes files as Da-TACOS has them (15226 frames of 12 bins, gzip and shuffle, the chunks and about
the size of the real files), converts them to 500 frames both ways in the same run, five times each
in turn, and prints the medians. The loop is that of the Siamese release: read ids and array, turn,
wrap around to 15500 frames, cv2.resize with INTER_AREA, keep; it writes one array at the end.
The target: the conversion's workers together take at most 1.2 times the loop's time.

    python benchmarks/preprocess_da_tacos.py [--tracks 1000] [--feature crema]
    taskset -c 1 python benchmarks/preprocess_da_tacos.py      # one worker
"""

import shutil
import statistics
import tempfile
import time
from pathlib import Path

import click
import cv2
import h5py
import numpy as np
from machine import processor

from mulkinet import FeatureStore
from mulkinet.features.resize import TrackLength
from mulkinet.sources.da_tacos import convert_subset
from mulkinet.workers import count_workers

N_FRAMES = 15226
N_CONTENTS = 20
CHUNKS = {"crema": (1, N_FRAMES), "hpcp": (1365, 12)}


def make_files(data_dir, feature, n_tracks):
    """Files of distinct names and 20 different contents, in the layout of one folder per feature."""
    rng = np.random.default_rng(0)
    originals = []
    for number in range(N_CONTENTS):
        originals.append(data_dir / f"{number}.h5")
        with h5py.File(originals[-1], "w") as file:
            x = contents(feature, rng)
            chunks = CHUNKS[feature]
            file.create_dataset(feature, data=x, chunks=chunks, compression=9, shuffle=True)
    folder = data_dir / f"da-tacos_coveranalysis_subset_{feature}"
    for number in range(n_tracks):
        work, track = f"W_{number // 2}", f"P_{number}"
        path = folder / f"{work}_{feature}" / f"{track}_{feature}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(originals[number % N_CONTENTS], path)
        with h5py.File(path, "r+") as file:
            file.attrs["label"], file.attrs["track_id"] = np.bytes_(work), np.bytes_(track)
    return sorted(folder.glob("*/*.h5"))


def contents(feature, rng):
    """Values that compress about as the real ones: crema holds each of its own frames 8 times."""
    if feature == "crema":
        return np.repeat(rng.random((12, N_FRAMES // 8 + 1), np.float32), 8, axis=1)[:, :N_FRAMES]
    x = rng.random((N_FRAMES, 12), np.float32)
    return np.where(x < 0.1, 0, x).astype(np.float32)


def plain_loop(paths, feature, output):
    """What one writes without this package."""
    ids = []
    resized = np.empty((len(paths), 12, 500), np.float32)
    for i, path in enumerate(paths):
        with h5py.File(path, "r") as file:
            ids.append((file.attrs["label"], file.attrs["track_id"]))
            x = file[feature][()].astype(np.float32)
        if x.shape[1] == 12:
            x = x.T
        x = x[:, :15500]
        x = np.pad(x, ((0, 0), (0, 15500 - x.shape[1])), mode="wrap")
        resized[i] = cv2.resize(x, (500, 12), interpolation=cv2.INTER_AREA)
    with h5py.File(output, "w") as file:
        file["frames"] = resized
        file["ids"] = np.asarray(ids)


def seconds_of(function, *arguments):
    """Wall-clock time of a call."""
    start = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - start


def convert(data_dir, output, feature):
    """What `preprocess.py da-tacos -s 500` does."""
    convert_subset(
        data_dir,
        "coveranalysis",
        output,
        features=(feature,),
        track_length=TrackLength(500),
        force=True,
        progress=False,
    )


def check(loop_path, store_path, feature, paths):
    """Both ways gave the same numbers."""
    store = FeatureStore(store_path)
    with h5py.File(loop_path, "r") as file:
        frames = file["frames"]
        for i in range(0, len(paths), max(1, len(paths) // 50)):
            track = paths[i].stem.rsplit("_", 1)[0]
            np.testing.assert_allclose(store.get(track, feature), frames[i], atol=1e-5)


@click.command()
@click.option("--tracks", default=1000, help="Files to make.")
@click.option("--feature", type=click.Choice(list(CHUNKS)), default="crema", show_default=True)
def main(tracks, feature):
    """Measure and print."""
    n_workers = count_workers(-1)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        paths = make_files(folder, feature, tracks)
        size = paths[0].stat().st_size / 1000
        print(f"{processor()}: {tracks} tracks of {feature}, {N_FRAMES} x 12, {size:.0f} kB each")
        loop, ours = [], []
        for _ in range(5):
            loop.append(seconds_of(plain_loop, paths, feature, folder / "loop.h5"))
            ours.append(seconds_of(convert, folder, folder / "store.h5", feature))
        check(folder / "loop.h5", folder / "store.h5", feature, paths)
    loop, ours = statistics.median(loop), statistics.median(ours)
    print(f"h5py + cv2.resize, one after the other: {loop:.2f} s, {tracks / loop:.0f} tracks/s")
    print(f"preprocess da-tacos, {n_workers} worker(s): {ours:.2f} s, {tracks / ours:.0f} tracks/s")
    print(f"workers x time / time of the loop: {n_workers * ours / loop:.2f}")


if __name__ == "__main__":
    main()

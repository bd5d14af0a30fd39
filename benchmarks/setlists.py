"""How much of a long recording `mulkinet setlist` names, how much of that is right, and how near its borders are.

    python benchmarks/setlists.py --real ../shared/data/real/covers80-dev-full8.h5 \
        --charts ../shared/data/charts/charts-open.jsonl.gz [--streams 6] [--seed 0]

A stream is strung together of real recordings: a part of 60 to 150 s of each, with 5 to 20 s of unknown real music
before, between and after. Of every song one version is in the index, and the others are in the stream; unknown is what
is taken from songs that are neither. The index holds performances of lead sheets besides. Streams differ in which songs
are unknown, which version is in the index, and what parts are heard in what order.

Beside it: `mulkinet identify --segments` with windows of the same length, each of which is named after the nearest
track; and what whoever knew all borders would name, by `mulkinet identify` of each song's part.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import shutil
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

from mulkinet.cli.table import table

_N_UNKNOWN = 8
_PART_SEC, _BETWEEN_SEC = (60, 150), (5, 20)
_NEAR_SEC = 8
_LEAST = (0.0, 0.15, 0.3, 0.5)


class Song(NamedTuple):
    """Where a stream plays a work, in seconds."""

    start_sec: float
    end_sec: float
    work_id: str


class Score(NamedTuple):
    """How right the spans of a stream are.

    Attributes:
        right: Share of the songs' time that is named right.
        precise: Share of the named time that is named right; nan where nothing is named.
        bordered: Share of songs both of whose borders are found within 8 s.
        borders: Share of borders found within 8 s.
    """

    right: float
    precise: float
    bordered: float
    borders: float


def score(spans, songs, near_sec=_NEAR_SEC):
    """Compares what was found with the truth.

    Args:
        spans: Anything with `start_sec`, `end_sec`, `work_id`, that do not overlap.
        songs: list of Song.
        near_sec: How far a border may be.

    Returns:
        Score. The borders of a song are the first start and the last end of the spans of its work that meet it.
    """
    right, borders = 0.0, []
    for song in songs:
        own = [
            span
            for span in spans
            if span.work_id == song.work_id
            and span.start_sec < song.end_sec
            and span.end_sec > song.start_sec
        ]
        right += sum(
            min(span.end_sec, song.end_sec) - max(span.start_sec, song.start_sec) for span in own
        )
        starts, ends = [span.start_sec for span in own], [span.end_sec for span in own]
        start, end = min(starts, default=-np.inf), max(ends, default=np.inf)
        borders.append(
            (abs(start - song.start_sec) <= near_sec, abs(end - song.end_sec) <= near_sec)
        )
    named = sum(span.end_sec - span.start_sec for span in spans)
    return Score(
        right / sum(song.end_sec - song.start_sec for song in songs),
        right / named if named else np.nan,
        np.mean([all(pair) for pair in borders]),
        np.mean(borders),
    )


def named_by_exact_borders(x, songs, index):
    """The songs as spans, each named by identifying its part: list of Song."""
    from mulkinet.identify.chroma import coarse_rate

    rate = coarse_rate(index.embedder)
    parts = [x[:, round(song.start_sec * rate) : round(song.end_sec * rate)] for song in songs]
    answers = index.identify(parts, top=1, progress=False)
    return [song._replace(work_id=answer.works[0].work_id) for song, answer in zip(songs, answers)]


def draw_stream(chromas, works, rate, rng):
    """Strings a stream together.

    Args:
        chromas: list of (n_frames, 12), the recordings.
        works: (n,) their works.
        rate: Frames per second.
        rng: numpy Generator.

    Returns:
        ((n_frames, 12), list of Song, (n,) bool: which recordings are to be in the index).
    """
    names = rng.permutation(np.unique(works))
    unknown = np.isin(works, names[:_N_UNKNOWN])
    is_held = np.zeros(len(works), bool)
    for name in names[_N_UNKNOWN:]:
        is_held[rng.choice(np.flatnonzero(works == name))] = True

    def part(row, seconds):
        length = min(round(rng.uniform(*seconds) * rate), len(chromas[row]))
        start = rng.integers(len(chromas[row]) - length + 1)
        return chromas[row][start : start + length]

    def between():
        return part(rng.choice(np.flatnonzero(unknown)), _BETWEEN_SEC)

    parts, songs, at = [between()], [], 0
    for row in rng.permutation(np.flatnonzero(~unknown & ~is_held)):
        at += len(parts[-1])
        parts += [part(row, _PART_SEC), between()]
        songs.append(Song(at / rate, (at + len(parts[-2])) / rate, str(works[row])))
        at += len(parts[-2])
    return np.concatenate(parts), songs, is_held


def build_index(folder, real, charts, n_charts, model_file):
    """An index of all recordings of a store, and of performances of charts.

    Args:
        folder: pathlib.Path to make it in.
        real: FeatureStore file.
        charts: File of charts.
        n_charts: How many of them, of those that have a melody, the first of a fixed order.
        model_file: Model file or name.

    Returns:
        Index.
    """
    from mulkinet import Index
    from mulkinet.sources.charts.chart import read_charts
    from mulkinet.sources.charts.chart_store import write_performances

    sung = [chart for chart in read_charts(charts)[0] if chart.melody]
    chosen = np.random.default_rng(0).permutation(len(sung))[:n_charts]
    write_performances(folder / "charts.h5", [sung[i] for i in sorted(chosen)], 1)
    index = Index.build(folder / "all.index", real, model_file, progress=False)
    index.add(folder / "charts.h5", alignment=True, progress=False)
    return index


def streams(whole, real, folder, seeds):
    """Streams, each with an index for it.

    Args:
        whole: Index of `build_index`.
        real: FeatureStore file that it was made of.
        folder: pathlib.Path to make the indexes in.
        seeds: Of each stream.

    Yields:
        (seed, (12, n_frames) float32, list of Song, Index).
    """
    from mulkinet import FeatureStore, Index
    from mulkinet.identify.chroma import coarse_rate

    keys = list(FeatureStore(real).rows_by_key)
    rows = [whole.rows_by_key[key] for key in keys]
    works = np.array([work for work, _ in keys])
    chromas = [whole.data.chroma.track(row) for row in rows]
    for seed in seeds:
        rng = np.random.default_rng(seed)
        frames, songs, is_held = draw_stream(chromas, works, coarse_rate(whole.embedder), rng)
        index = Index.open(shutil.copy(whole.path, folder / f"{seed}.index"))
        left = [f"{work}/{track}" for (work, track), held in zip(keys, is_held) if not held]
        index.remove(left)
        yield seed, frames.T.astype(np.float32) / 255, songs, index


@click.command()
@click.option("--real", required=True, help="Feature store of recordings.")
@click.option("--charts", required=True, help="File of charts.")
@click.option("--n-charts", default=960, show_default=True)
@click.option("--model-file", default="covers", show_default=True)
@click.option("--streams", "n_streams", default=6, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of the first stream.")
def main(real, charts, n_charts, model_file, n_streams, seed):
    """Print the scores of each stream, and their means."""
    rows, scores, seconds = [], {}, []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        whole = build_index(folder, real, charts, n_charts, model_file)
        for number, x, songs, index in streams(whole, real, folder, range(seed, seed + n_streams)):
            start = time.perf_counter()
            found = index.set_list(x, least=0, progress=False)
            seconds.append(time.perf_counter() - start)
            nearest = index.identify(x, segment_sec=43, hop_sec=10, tau=1e9, progress=False)
            for least in _LEAST:
                spans = [span for span in found.spans if span.probability >= least]
                scores.setdefault(f"{least:g}", []).append(score(spans, songs))
            spans = [
                Song(span.start_sec, span.end_sec, span.match.work_id) for span in nearest.spans
            ]
            scores.setdefault("nearest window", []).append(score(spans, songs))
            exact = named_by_exact_borders(x, songs, index)
            scores.setdefault("exact borders", []).append(score(exact, songs))
            click.echo(
                f"stream {number}: {len(songs)} songs, {found.seconds / 60:.0f} min, "
                f"{len(index)} tracks, {seconds[-1]:.0f} s"
            )
            rows += [(str(number), name, *_numbers(of[-1])) for name, of in scores.items()]
    rows += [("mean", name, *_numbers(np.mean(of, axis=0))) for name, of in scores.items()]
    headings = ("stream", "least", "time right", "of named", "both borders", "borders")
    click.echo(table([headings, *rows]))


def _numbers(values):
    return [f"{value:.2f}" for value in values]


if __name__ == "__main__":
    main()

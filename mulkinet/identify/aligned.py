"""Where a query and its answers match: alignments with the chroma that an index keeps."""

from dataclasses import replace
from typing import NamedTuple

from mulkinet.alignment.align import Alignment, align
from mulkinet.alignment.chroma import MIN_FRAMES
from mulkinet.errors import MulkinetError
from mulkinet.identify.chroma import chroma_of, coarse_rate, to_align

__all__ = ["Aligned", "align_answers", "align_kept", "align_tracks"]


class Aligned(NamedTuple):
    """An alignment with what it is of.

    Attributes:
        alignment: Alignment.
        seconds_a: Length of a, as far as there is chroma.
        seconds_b: Length of b.
    """

    alignment: Alignment
    seconds_a: float
    seconds_b: float


def align_answers(answers, queries, index, n_works):
    """Answers with `alignments` of the nearest `n_works` works of each, by their nearest tracks.

    Args:
        answers: list of Answer.
        queries: What they answer, from `read_queries`.
        index: Index.
        n_works: Works of each answer to align.
    """
    row_of = index.rows_by_key
    found = []
    for answer, (_, recording) in zip(answers, queries):
        works = answer.works[:n_works]
        frames = chroma_of(recording, index.embedder) if works else None
        rows = [row_of[work.work_id, work.track_id] for work in works]
        rate = coarse_rate(index.embedder)
        alignments = [align_kept(frames, _kept(index, row), rate) for row in rows]
        found.append(replace(answer, alignments=alignments))
    return found


def align_tracks(index, row_a, row_b):
    """Aligned of two tracks (rows) of an index; None where one has no chroma, or too little."""
    return align_kept(_kept(index, row_a), _kept(index, row_b), coarse_rate(index.embedder))


def align_kept(frames_a, frames_b, rate):
    """Aligned of two tracks' chroma, (n_frames, 12) uint8 at `rate` per second; None where one has too little."""
    if min(len(frames_a), len(frames_b)) < MIN_FRAMES:
        return None
    try:
        found = align(to_align(frames_a), to_align(frames_b), frame_rate=rate)
    except MulkinetError:  # silence
        return None
    return Aligned(found, len(frames_a) / rate, len(frames_b) / rate)


def _kept(index, row):
    chroma = index.data.chroma
    return chroma.track(row) if chroma is not None else ()

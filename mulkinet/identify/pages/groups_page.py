"""Tracks of a collection that are versions of each other, to look at and to listen to."""

from dataclasses import asdict
from pathlib import Path

from mulkinet.identify.aligned import align_tracks
from mulkinet.identify.pages.page import audio_source, picture, write_page

__all__ = ["group_data", "write_groups_page"]

# Of a picture there are some ten kilobytes.
_MOST_PICTURES = 500


def write_groups_page(path, groups, index, *, embed_audio=False):
    """Writes a page.

    Args:
        path: HTML file to write.
        groups: list of Group.
        index: The Index that they are of.
        embed_audio: Whether the audio files become part of the page; it links to them otherwise.

    Raises:
        MulkinetError: The file cannot be written, or audio to embed not be read.
    """
    page, pictures = Path(path), 0

    def with_audio(track):
        return {**track, "audio": audio_source(track["path"], page, embed_audio)}

    data = [group_data(group, with_audio) for group in groups]
    for group, told in zip(groups, data):
        for pair, drawn in zip(group.pairs, told["pairs"]):
            pictures += 1
            found = (
                align_tracks(index, pair.a.row, pair.b.row) if pictures <= _MOST_PICTURES else None
            )
            drawn["alignment"] = found and picture(*found)
    title = f"{len(groups)} group{'' if len(groups) == 1 else 's'} of versions"
    write_page(page, title, "groupsPage", {"title": title, "groups": data})


def group_data(group, told):
    """A Group for page.js: finding, title, tracks, and pairs with the places of both among the tracks.

    `told` says of a track (dict) what is told of it.
    """
    place = {track.row: i for i, track in enumerate(group.tracks)}
    misfiled = {track.row for track in group.misfiled}
    works = ", ".join(dict.fromkeys(track.work_id for track in group.tracks))
    return {
        "finding": group.finding,
        "title": f"{group.finding}: {works}",
        "tracks": [
            {**told(asdict(track)), "is_misfiled": track.row in misfiled} for track in group.tracks
        ],
        "pairs": [
            {"a": place[pair.a.row], "b": place[pair.b.row], "words": _words(pair)}
            for pair in group.pairs
        ],
    }


def _words(pair):
    words = f"distance {pair.distance:.3f}"
    if pair.probability is not None:
        words += f", probability {pair.probability:.2f}"
    if pair.same_recording is None:
        return words
    return f"{'the same recording' if pair.same_recording else 'two performances'}, {words}"

"""What is played when, to look at and to listen to."""

from dataclasses import asdict
from pathlib import Path

from mulkinet.identify.pages.page import audio_source, write_page

__all__ = ["write_set_list_page"]


def write_set_list_page(path, lists, *, embed_audio=False):
    """Writes a page: each recording on a line of time, whose parts play it, and the index's track from the part played.

    Args:
        path: HTML file to write.
        lists: list of SetList.
        embed_audio: Whether the audio files become part of the page; it links to them otherwise.

    Raises:
        MulkinetError: The file cannot be written, or audio to embed not be read.
    """
    page = Path(path)

    def audio(name):
        return audio_source(name, page, embed_audio)

    def span(played):
        values = asdict(played)
        return {**values, "match": {**values, "audio": audio(played.path)}}

    # As answers whose spans were found, so that page.js draws both alike.
    answers = [
        {
            **found.to_dict(),
            "spans": [span(played) for played in found.spans],
            "works": [],
            "audio": audio(found.query),
        }
        for found in lists
    ]
    title = Path(lists[0].query).name if len(lists) == 1 else f"{len(lists)} recordings"
    write_page(page, title, "answersPage", {"title": title, "answers": answers})

"""Pictures of two recordings that were matched: a page with two players, and a figure.

A click into the plot takes both players to the place of the song that the nearest point of the path shows.
"""

from pathlib import Path

from mulkinet.files.atomic import atomic_path
from mulkinet.identify.match_text import describe
from mulkinet.identify.pages.page import audio_source, extent, picture, write_page

__all__ = ["write_match_figure", "write_match_page"]

_DPI = 150


def write_match_page(path, found, *, embed_audio=False):
    """Writes a page.

    Args:
        path: HTML file to write.
        found: PairMatch.
        embed_audio: Whether the audio files become part of the page; it links to them otherwise.

    Raises:
        MulkinetError: The file cannot be written, or audio to embed not be read.
    """
    page = Path(path)
    data = {
        "names": [Path(name).name for name in (found.a, found.b)],
        "audio": [audio_source(name, page, embed_audio) for name in (found.a, found.b)],
        "summary": describe(found),
        "found": picture(found.alignment, found.seconds_a, found.seconds_b),
    }
    write_page(page, " and ".join(data["names"]), "matchPage", data)


def write_match_figure(path, found):
    """Writes the plot of a PairMatch, with the path, as a PNG file."""
    from matplotlib.figure import Figure

    height, width = found.seconds_a, found.seconds_b
    top, bottom, left, right = (seconds / 60 for seconds in extent(found.alignment))
    figure = Figure(figsize=(6.4, 6.4 * min(2, max(0.5, height / width))), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(
        found.alignment.recurrence,
        cmap="Greys",
        vmax=1.6,
        extent=(left, right, bottom, top),
        interpolation="nearest",
        aspect="auto",
    )
    minutes = found.alignment.path / 60
    axes.plot(minutes[:, 1], minutes[:, 0], ".", color="#D55E00", markersize=3)
    axes.set_xlim(0, width / 60)
    axes.set_ylim(height / 60, 0)
    axes.set_xlabel(f"B: {Path(found.b).name} (minutes)")
    axes.set_ylabel(f"A: {Path(found.a).name} (minutes)")
    with atomic_path(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=_DPI)

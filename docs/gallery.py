"""Draws the pictures of the documentation, from the music and the network that `make demo` makes.

    make gallery        or: python docs/gallery.py, in a folder in which `make demo` has run

The page of a match is photographed by Chromium, which has to be on PATH. Pictures go to docs/images.
"""

import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from matplotlib.figure import Figure
from PIL import Image

from mulkinet import Index, match
from mulkinet.evaluation.report.figures import training_curves
from mulkinet.features.audio import SR, decode
from mulkinet.identify.groups import find_groups
from mulkinet.identify.pages.groups_page import write_groups_page
from mulkinet.identify.pages.match_page import write_match_figure, write_match_page

IMAGES = Path(__file__).resolve().parent / "images"
AUDIO = Path("datasets/demo_audio")
LOG = Path("log/demo/epochs.csv")
WORKS = [f"w{number:04d}" for number in range(95, 107)]  # of the test list
PAIR = (AUDIO / "w0097/w0097_p0.flac", AUDIO / "w0097/w0097_p2.flac")
MEDLEY = ["w0096_p2", "w0099_p2", "w0103_p2"]
TITLES = ("studio", "live")
_BLUE, _ORANGE, _GREY = "#0072B2", "#E69F00", "#999999"


def main():
    """Makes all pictures."""
    if not AUDIO.is_dir() or not LOG.is_file():
        sys.exit(f"expected {AUDIO} and {LOG}, found not both; run make demo first")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        draw_match(folder)
        draw_set_list(folder)
        draw_groups(folder)
        draw_training()


def draw_match(folder):
    """Two performances of a work: the recurrence plot with its path, and the page about them."""
    found = match(*PAIR)
    write_match_figure(folder / "recurrence.png", found)
    shrink(folder / "recurrence.png", "recurrence.png", width=760)
    write_match_page(folder / "match.html", found)
    photograph(folder / "match.html", folder / "page.png")
    shrink(folder / "page.png", "match-page.png", width=900)


def build_index(library, name_of):
    """The index of two performances of each of twelve works; name_of says where in the library one goes."""
    for work in WORKS:
        for performance in (0, 1):
            place = library / name_of(work, performance)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(AUDIO / work / f"{work}_p{performance}.flac", place)
    return Index.build(library.with_suffix(".index"), library, progress=False, report=print)


def draw_set_list(folder):
    """A medley of three performances that the index does not hold: what was played, and what was found."""
    index = build_index(folder / "works", lambda work, n: f"{work}/{work}_p{n}.flac")
    parts = [decode(AUDIO / name.partition("_")[0] / f"{name}.flac").y for name in MEDLEY]
    soundfile.write(folder / "medley.flac", np.concatenate(parts), SR)
    found = index.set_list(folder / "medley.flac", progress=False)
    ends = np.cumsum([0, *(len(part) / SR for part in parts)])
    figure = Figure((7.6, 2.2), layout="constrained")
    axes = figure.add_subplot()
    played = [
        (start, end, name.partition("_")[0]) for start, end, name in zip(ends, ends[1:], MEDLEY)
    ]
    named = [(span.start_sec, span.end_sec, span.work_id) for span in found.spans]
    for row, (spans, colour) in enumerate(((named, _BLUE), (played, _GREY))):
        for start, end, work in spans:
            axes.barh(row, end - start, left=start, height=0.6, color=colour, edgecolor="white")
            if end - start > ends[-1] / 12:
                axes.text((start + end) / 2, row, work, ha="center", va="center", color="white")
    axes.set_yticks([0, 1], ["found", "played"])
    axes.set_xlabel("seconds")
    axes.set_xlim(0, ends[-1])
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(IMAGES / "set-list.png", dpi=110)


def draw_groups(folder):
    """The page of groups of the same music in one folder, where nobody has said what belongs together."""
    index = build_index(folder / "downloads", lambda work, n: f"{TITLES[n]} {work[-2:]}.flac")
    found = find_groups(index, progress=False)
    write_groups_page(folder / "groups.html", found.groups, index)
    photograph(folder / "groups.html", folder / "groups.png")
    shrink(folder / "groups.png", "groups.png", width=900)


def draw_training():
    """Loss and validation MAP of the demo's network, by epoch."""
    with LOG.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["MAP"]]
    columns = ([float(row[name]) for row in rows] for name in ("epoch", "loss", "MAP"))
    training_curves(*columns).savefig(IMAGES / "training.png", dpi=110)


def photograph(page, picture, size=(1100, 1030)):
    """Has Chromium draw a page."""
    program = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if program is None:
        sys.exit("expected chromium on PATH, found none; install it to draw pages")
    window = ",".join(map(str, size))
    options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu"]
    subprocess.run(
        [program, *options, f"--window-size={window}", f"--screenshot={picture}", page.as_uri()],
        check=True,
        capture_output=True,
        timeout=300,
    )


def shrink(picture, name, width):
    """Scales a picture to a width, and keeps it with few colours: files of the repository are small."""
    image = Image.open(picture).convert("RGB")
    image = image.resize((width, round(image.height * width / image.width)), Image.LANCZOS)
    image.quantize(96).save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    main()

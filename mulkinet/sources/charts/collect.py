"""Charts from files and folders of sheets, in processes, so that a strange one takes nothing along.

What was read of a sheet is kept in `cache_folder("sheets")`, as JSON named by a hash of its name and content: an
interrupted run resumes, and one over a folder that has grown reads what is new.
"""

import contextlib
import hashlib
import json
from pathlib import Path

from tqdm import tqdm

import mulkinet
from mulkinet.data.store import natural_key
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.files.atomic import atomic_path
from mulkinet.files.cache import cache_folder
from mulkinet.sources.charts.chart import Chart, read_charts
from mulkinet.sources.charts.scores import ENDINGS, read_sheet
from mulkinet.sources.charts.works import as_works
from mulkinet.workers import CRASHED, count_workers, run_in_processes

__all__ = ["collect_charts"]

_LINES = (".jsonl", ".jsonl.gz")


def collect_charts(paths, *, n_workers=-1, progress=True):
    """Reads sheets and files of charts.

    Args:
        paths: Files, or folders that are looked through to the bottom.
        n_workers: Processes; -1 is one per core.
        progress: Show a progress bar.

    Returns:
        (charts, skipped): list of Chart in the order of paths and names, sheets of one title as versions of a
        work where their chords align; and list of (input, reason).

    Raises:
        MulkinetError: A path is not there, or holds no sheet.
    """
    files = [file for path in paths for file in _files(Path(path))]
    charts, skipped, sheets = [], [], []
    for file in files:
        if file.name.endswith(_LINES):
            found, bad = read_charts(file)
            charts += found
            skipped += bad
        else:
            sheets.append(file)
    read, unread = _read_sheets(sheets, n_workers, progress)
    return charts + as_works(read), skipped + unread


def _files(path):
    if not path.exists():
        raise MulkinetError(
            f"expected sheets at {path}, found nothing there; name a file or a folder"
        )
    if not path.is_dir():
        return [path]
    found = [file for file in path.rglob("[!.]*") if file.is_file()]
    taken = [file for file in found if file.name.lower().endswith((*ENDINGS, *_LINES))]
    if not taken:
        raise MulkinetError(
            f"expected sheets ({', '.join((*ENDINGS, *_LINES))}) in {path}, found none; name their folder"
        )
    return sorted(taken, key=lambda file: natural_key(str(file)))


def _read_sheets(sheets, n_workers, progress):
    n_workers = min(count_workers(n_workers), max(1, len(sheets)))
    found = {}
    bar = tqdm(total=len(sheets), unit="sheet", disable=None if progress else True)
    with bar:
        for sheet, result in run_in_processes(_read_sheet, sheets, n_workers):
            found[sheet] = [(str(sheet), result)] if result == CRASHED else result
            bar.update()
    pairs = [pair for sheet in sheets for pair in found[sheet]]
    charts = [chart for _, chart in pairs if not isinstance(chart, str)]
    return charts, [(name, reason) for name, reason in pairs if isinstance(reason, str)]


def _read_sheet(path):
    """[(name, Chart or reason)] of a file. Runs in a worker."""
    if not path.name.lower().endswith(ENDINGS):
        return [(str(path), f"expected a sheet ({', '.join(ENDINGS)}), found another kind of file")]
    try:
        kept = _place(path)
        found = _kept(kept)
        if found is None:
            found = [(name[len(str(path)) :], chart) for name, chart in read_sheet(path)]
            _keep(kept, found)
    except SkippedInput as error:
        return [(str(path), str(error))]
    except OSError as error:
        return [(str(path), f"cannot read it: {error.strerror or error}")]
    return [(f"{path}{tune}", chart) for tune, chart in found]


def _place(path):
    # A sheet without a title is called by its file's name.
    sha = hashlib.sha256(f"{mulkinet.__version__} {path.name}".encode("utf-8", "backslashreplace"))
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return cache_folder("sheets") / f"{sha.hexdigest()}.json"


def _kept(place):
    """What `_keep` kept, or None."""
    with contextlib.suppress(OSError, ValueError, TypeError, SkippedInput):
        found = json.loads(place.read_text("utf-8"))
        return [
            (tune, chart if isinstance(chart, str) else Chart.from_record(chart))
            for tune, chart in found
        ]
    return None


def _keep(place, found):
    text = json.dumps(
        [(tune, chart if isinstance(chart, str) else chart.record()) for tune, chart in found]
    )
    with contextlib.suppress(MulkinetError):  # a cache that cannot be written is none
        with atomic_path(place) as temporary:
            temporary.write_text(text, "utf-8")

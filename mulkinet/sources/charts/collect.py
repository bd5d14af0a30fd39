"""Charts from files and folders of sheets, in processes, so that a strange one takes nothing along.

Public names: `collect_charts`.
"""

from pathlib import Path

from tqdm import tqdm

from mulkinet.data.store import natural_key
from mulkinet.errors import MulkinetError, SkippedInput
from mulkinet.sources.charts.chart import read_charts
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
        return read_sheet(path)
    except SkippedInput as error:
        return [(str(path), str(error))]
    except OSError as error:
        return [(str(path), f"cannot read it: {error.strerror or error}")]

"""`preprocess.py`: one sub-command for each kind of data set."""

from pathlib import Path

import click

from mulkinet.cli.errors import Group, report_skipped
from mulkinet.cli.options import (
    accept_partial_option,
    cluster_options,
    downsample_option,
    feature_option,
    force_option,
    list_dir_option,
    output_option,
    spect_len_option,
    track_length,
    workers_option,
)
from mulkinet.cli.printing import echo
from mulkinet.errors import MulkinetError
from mulkinet.features import FEATURES
from mulkinet.files.text import in_one_line

__all__ = ["main"]

_DA_TACOS_FEATURES = ("crema", "hpcp", "chroma_cens")
_DA_TACOS_SUBSETS = ("benchmark", "coveranalysis")


@click.group(cls=Group)
def main():
    """Make a feature store: one HDF5 file that train.py and evaluate.py read."""


@main.command("from-audio-dir")
@click.option(
    "-a", "--audio-dir", required=True, type=click.Path(), help="Folder with one folder per work."
)
@click.option("-o", "--output", default="datasets", type=click.Path(), help="Folder for the store.")
@feature_option("hpcp", FEATURES)
@click.option(
    "-r",
    "--run-mode",
    type=click.Choice(["parallel", "single"]),
    default="parallel",
    help="Use several processes, or this one only.",
)
@workers_option
@cluster_options(
    shared_output=True,
    unfit=lambda options: (
        "expected --cluster or -r single, found both" if options["run_mode"] == "single" else None
    ),
)
@spect_len_option
@downsample_option
@click.option("--name", help="Name of the data set.  [the name of the audio folder]")
@accept_partial_option
@click.option(
    "--tuning",
    type=click.Choice(["estimate", "as-recorded"]),
    default="estimate",
    help="Bring recordings to 440 Hz, or leave them, as the published features do. cqt_cqtnet and cqt_vinet are "
    "always as recorded.",
)
@click.option("--trim", "is_trimmed", is_flag=True, help="Leave out leading and trailing silence.")
@force_option
def from_audio_dir(
    audio_dir, output, features, run_mode, n_workers, spect_len, downsample, tuning, **options
):
    """Extract features from a folder of audio.

    The audio is <dir>/<work>/<track>.<ext>. Makes <output>/<name>.h5, the store, and
    <name>_annotations.csv. Extracted features are kept in ~/.cache/mulkinet/features (or
    $MULKINET_CACHE/features) and used again, also by mulkinet index: an interrupted run resumes. You may
    delete that folder. --force is needed where a store would lose features or change their length.
    """
    from mulkinet.sources.audio_dir import preprocess_audio_dir
    from mulkinet.sources.layout import describe_passed_over

    track_length(spect_len, downsample)
    result = preprocess_audio_dir(
        audio_dir,
        output,
        features=features,
        run_mode=run_mode,
        n_workers=n_workers,
        spect_len=spect_len,
        downsample=downsample,
        is_tuned=tuning == "estimate",
        **options,
    )
    for path, note in result.notes:
        echo(in_one_line(f"{path}: {note}"))
    passed_over = describe_passed_over(audio_dir)
    if passed_over:
        echo(passed_over)
    echo(f"{result.n_tracks} tracks of {result.n_works} works: {result.store_path}")
    report_skipped(result.skipped)


@main.command("da-tacos")
@click.option(
    "-d",
    "--data-dir",
    default="datasets",
    type=click.Path(),
    help="Folder that holds the da-tacos_<subset>_subset_... folders.",
)
@output_option
@feature_option("crema", _DA_TACOS_FEATURES)
@spect_len_option
@downsample_option
@click.option(
    "--subset",
    "subsets",
    type=click.Choice(_DA_TACOS_SUBSETS),
    multiple=True,
    help="May be given twice.  [those found; with --download both]",
)
@list_dir_option("the lists DATACOS-BENCHMARK and DATACOS-COVERANALYSIS")
@click.option(
    "--download", is_flag=True, help="Download what is missing from Zenodo (CC BY-NC-SA)."
)
@force_option
def convert_da_tacos(
    data_dir, output, features, spect_len, downsample, subsets, list_dir, download, force
):
    """Convert Da-TACOS, and download it first if asked to.

    Makes <output>/benchmark.h5 and coveranalysis.h5 from either layout, one file per track or one
    folder per feature. -s 500 is what the Siamese system used, -s full --downsample 8 what MOVE
    used. An interrupted run resumes when it is started again.
    """
    from mulkinet.data.store import FeatureStore
    from mulkinet.sources import da_tacos

    frames = track_length(spect_len, downsample)
    if download:
        subsets = subsets or _DA_TACOS_SUBSETS
        _download(data_dir, subsets, features)
    subsets, conversions = list(dict.fromkeys(subsets)) or da_tacos.find_subsets(data_dir), []
    for subset in subsets:
        da_tacos.check_subset(data_dir, subset, features)
    for subset in subsets:
        path = Path(output or data_dir) / f"{subset}.h5"
        made = da_tacos.convert_subset(
            data_dir, subset, path, features=features, track_length=frames, force=force
        )
        conversions.append(made)
        _write_lists(list_dir, {f"DATACOS-{subset.upper()}": FeatureStore(path).rows_by_key})
        if da_tacos.describe_shortfall(subset, made.n_tracks):
            click.echo(da_tacos.describe_shortfall(subset, made.n_tracks))
    _report(conversions)


@main.command("cover1000")
@click.option(
    "-d",
    "--data-dir",
    default="datasets",
    type=click.Path(),
    help="Folder of <name>.pyjama and <name>_feat.hdf5.",
)
@output_option
@list_dir_option("<NAME>-TRAIN and <NAME>-VAL, the tutorial's split,")
@force_option
def convert_cover1000(data_dir, output, list_dir, force):
    """Convert Cover-1000, or another set in its format.

    Makes <output>/<name>.h5 from every pair of files in the folder, such as datacos-benchmark's. An
    interrupted run resumes when it is started again.
    """
    from mulkinet.data.store import FeatureStore
    from mulkinet.sources.cover1000 import check_pair, convert_pair, find_pairs, tutorial_fold

    pairs_of_files, conversions = find_pairs(data_dir), []
    for _, hdf5_path, pyjama_path in pairs_of_files:
        check_pair(hdf5_path, pyjama_path)
    for name, hdf5_path, pyjama_path in pairs_of_files:
        path = Path(output or data_dir) / f"{name}.h5"
        made, works = convert_pair(name, hdf5_path, pyjama_path, path, force=force)
        conversions.append(made)
        fold, pairs = tutorial_fold(works), list(FeatureStore(path).rows_by_key)
        lists = {
            f"{name.upper()}-TRAIN": [pair for pair in pairs if pair[0] not in fold],
            f"{name.upper()}-VAL": [pair for pair in pairs if pair[0] in fold],
        }
        _write_lists(list_dir, lists)
    _report(conversions)


@main.command("npy-dir")
@click.option(
    "-d", "--npy-dir", required=True, type=click.Path(), help="Folder of <song>_<version>.npy."
)
@click.option("-o", "--output", default="datasets", type=click.Path(), help="Folder for the store.")
@click.option("--name", help="Name of the data set.  [the name of the folder]")
@click.option(
    "--list",
    "lists",
    type=click.Path(),
    multiple=True,
    help="Convert only the tracks of this list; may be given several times.  [all files]",
)
@click.option(
    "--skip-missing",
    is_flag=True,
    help="Leave out listed tracks that have no file, and works left with a single track.",
)
@list_dir_option("the lists without what is missing")
@force_option
def convert_npy(npy_dir, output, name, lists, skip_missing, list_dir, force):
    """Convert a folder of <song>_<version>.npy.

    Makes <output>/<name>.h5 from (frames, 12) HPCP or (84, frames) CQT, such as SHS100K's. train.py and evaluate.py
    also take the folder itself as --data-dir, but a store is read faster. An interrupted run
    resumes when it is started again.
    """
    from mulkinet.data.store_writer import check_name
    from mulkinet.sources.npy_dir import convert_npy_dir

    if list_dir is not None:
        _refuse_overwriting(lists, Path(list_dir))
    path = Path(output) / f"{check_name(name or Path(npy_dir).resolve().name)}.h5"
    made, remaining = convert_npy_dir(
        npy_dir, path, lists=lists, skip_missing=skip_missing, force=force
    )
    for list_path, kept in remaining.items():
        if kept.n_missing:
            echo(kept.describe(list_path))
    _write_lists(
        list_dir, {Path(list_path).name: kept.pairs for list_path, kept in remaining.items()}
    )
    _report([made])


@main.command("siamese-testset")
@click.option(
    "-f",
    "--file",
    "hdf_path",
    default="datasets/testset.h5",
    type=click.Path(),
    help="The release's testset.h5, trainset.h5 or valset.h5.",
)
@output_option
@force_option
def convert_siamese_testset(hdf_path, output, force):
    """Convert the pandas store of the Siamese release.

    Makes <output>/siamese-<name>.h5.
    """
    from mulkinet.sources.siamese_testset import convert_testset

    hdf_path = Path(hdf_path)
    path = Path(output or hdf_path.parent) / f"siamese-{hdf_path.stem}.h5"
    _report([convert_testset(hdf_path, path, force=force)])


@main.command("charts")
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help="File of charts (.jsonl or .jsonl.gz) or feature store (.h5) to make.",
)
@click.option(
    "--performances",
    type=click.IntRange(1),
    default=4,
    help="Tracks of every chart in a store.",
)
@click.option(
    "-p",
    "--feature",
    type=click.Choice(["crema", "hpcp", "cqt"]),
    default="crema",
    help="What charts are performed as in a store.",
)
@click.option(
    "--compose",
    "n_composed",
    type=click.IntRange(0),
    default=0,
    help="Add this many songs of our own composer, which are free of any licence.",
)
@click.option("--seed", type=click.IntRange(0), default=0, help="Random seed of what is composed.")
@workers_option
@cluster_options()
@force_option
def collect(paths, output, performances, feature, n_composed, seed, n_workers, force):
    """Collect or compose lead sheets: chords and melodies to train on.

    PATHS are files or folders of MusicXML, .mxl, ABC, MIDI, chord charts in text (.txt) and files of charts. Sheets of
    one title are versions of a work where their chords align. train.py takes the file of charts, and performs it anew
    at every step; a store holds performances that stay the same. An interrupted run resumes, but composes anew. What is
    composed is drawn from the harmony and melody of real songs.
    """
    from mulkinet.sources.charts.chart import write_charts
    from mulkinet.sources.charts.chart_store import is_chart_file, write_performances
    from mulkinet.sources.charts.collect import collect_charts
    from mulkinet.sources.composer.song import chart_of, compose

    if not is_chart_file(output) and Path(output).suffix != ".h5":
        raise click.UsageError(f"expected -o to end in .jsonl, .jsonl.gz or .h5, found {output}")
    if Path(output).exists() and not force:
        raise MulkinetError(f"expected no file at {output}, found one; overwrite it with --force")
    if not paths and not n_composed:
        raise click.UsageError("expected PATHS of lead sheets, or --compose N, found neither")
    charts, skipped = collect_charts(paths, n_workers=n_workers) if paths else ([], [])
    there = {chart.work for chart in charts}  # composed before
    names = {f"composed-{seed}-{number:05d}": number for number in range(n_composed)}
    charts += [chart_of(compose(seed, n), work) for work, n in names.items() if work not in there]
    if not charts:
        reason = f", the first {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise MulkinetError(
            f"expected charts, found none in {len(skipped)} sheets{reason}; name others"
        )
    if is_chart_file(output):
        write_charts(output, charts)
    else:
        for note in write_performances(output, charts, performances, feature):
            echo(note)
    echo(f"{len(charts)} charts of {len({chart.work for chart in charts})} works: {output}")
    report_skipped(skipped)


@main.command()
@click.option(
    "-o", "--output", default="datasets", type=click.Path(), help="Folder for audio and store."
)
@click.option(
    "--list-dir",
    default="meta",
    type=click.Path(),
    help="Folder for the lists DEMO-TRAIN, DEMO-VAL and DEMO-TEST.",
)
@click.option("--train-works", default=80, help="Works to train on.")
@click.option("--val-works", default=15, help="Works to validate with.")
@click.option("--test-works", default=45, help="Works to test on.")
@click.option("--noise-works", default=10, help="Works with a single performance in the test list.")
@click.option("--performances", default=4, help="Performances of every other work.")
@click.option("--seed", default=0, help="Random seed of the music.")
@feature_option("hpcp", FEATURES)
@workers_option
@spect_len_option
@downsample_option
def demo(output, list_dir, seed, features, n_workers, spect_len, downsample, **size):
    """Compose, render and extract the demo set.

    Makes <output>/demo_audio/<work>/<track>.flac, the store <output>/demo.h5 and the lists. The same
    seed makes the same music anywhere. An interrupted run resumes when it is started again.
    """
    from mulkinet.sources.demo.demo_set import DemoSize, make_demo

    track_length(spect_len, downsample)
    made = make_demo(
        output,
        list_dir=list_dir,
        size=DemoSize(**size),
        seed=seed,
        features=features,
        n_workers=n_workers,
        spect_len=spect_len,
        downsample=downsample,
    )
    lists = ", ".join(str(path) for path in made.lists.values())
    echo(f"{made.store_path}; lists {lists}")
    report_skipped(made.skipped)


def _download(data_dir, subsets, features):
    from mulkinet.sources.da_tacos import has_single_files
    from mulkinet.sources.download import check_room, da_tacos_archives, fetch

    click.echo("Da-TACOS, Music Technology Group, UPF: licence CC BY-NC-SA 4.0")
    # Single files have every feature already.
    absent = [subset for subset in subsets if not has_single_files(data_dir, subset)]
    archives = da_tacos_archives(absent, features)
    check_room(archives, data_dir)
    for archive in archives:
        click.echo(f"{fetch(archive, data_dir)}")


def _refuse_overwriting(lists, list_dir):
    written = {}
    for path in map(Path, lists):
        if (list_dir / path.name).resolve() == path.resolve():
            raise click.UsageError(f"--list-dir would overwrite {path}; name another folder")
        if written.setdefault(path.name, path) != path:
            raise click.UsageError(
                f"--list-dir would write both {written[path.name]} and {path} to "
                f"{list_dir / path.name}; rename one"
            )


def _write_lists(list_dir, lists):
    """Writes {file name: (work_id, track_id) pairs} and says where; None writes nothing."""
    from mulkinet.data.lists import write_list

    if list_dir is not None:
        for name, pairs in lists.items():
            path = Path(list_dir) / name
            write_list(path, pairs)
            echo(f"{len(pairs)} tracks: {path}")


def _report(conversions):
    """Says what was made, lists what was skipped, and ends with exit code 3 if there is any."""
    for made in conversions:
        kept = ", an existing store of the same files and settings" if made.was_there else ""
        echo(f"{made.n_tracks} tracks of {made.n_works} works: {made.store_path}{kept}")
    report_skipped([skipped for made in conversions for skipped in made.skipped])

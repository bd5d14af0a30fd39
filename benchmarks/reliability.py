"""How far probabilities, and the costs that the rule of a yes states, hold on works that calibration never saw.

    python benchmarks/reliability.py --real ../shared/data/real/covers80-dev.h5 [--model-file covers] [--alignment]
    python benchmarks/reliability.py [--model-file models/demo/best.h5] [--data-dir datasets]

With --real: half of a store's works, drawn at random, are indexed, and the index is calibrated on the other half. All
tracks are asked for, their own left out, so that about half of them have a cover to be found. False alarms (a yes to
another work) and misses (no yes to the right one) are counted beside what their probabilities promise: of each answer
the expected number, with the interval within which 95 % of such counts fall. It is done for several halves; their
counts are means, since the halves share their tracks. `shipped` is the same index with the model's own calibration.

Without it: a model is calibrated on DEMO-VAL. All performances of the works of DEMO-TEST but the last of each are
indexed from their audio, the last ones are identified, and probabilities of works are compared with how often they were
right. All queries are of works of the index, so probabilities are those for `known` of 1. Each bin holds the same share
of the covers that the probabilities promise; none is empty.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np

from mulkinet.cli.errors import Command
from mulkinet.cli.table import table

N_BINS = 5
_ALL_KNOWN = 1 - 1e-9
_HALVES = 10
_SIMULATED = 2000


class Bin(NamedTuple):
    """Answers of similar probability.

    Attributes:
        low: The least probability.
        high: The greatest.
        n: Answers.
        promised: Mean probability.
        observed: Share of answers that are right.
    """

    low: float
    high: float
    n: int
    promised: float
    observed: float


def reliability(probabilities, is_true, n_bins=N_BINS):
    """Compares probabilities with what came true.

    Args:
        probabilities: (n,) in [0, 1].
        is_true: (n,) bool.
        n_bins: Number of bins; the probabilities of each have the same sum, as far as possible.

    Returns:
        list of Bin, ascending.
    """
    order = np.argsort(probabilities, kind="stable")
    p, truth = np.asarray(probabilities)[order], np.asarray(is_true, float)[order]
    sums = np.cumsum(p)
    cuts = np.searchsorted(sums, sums[-1] * np.arange(1, n_bins) / n_bins) + 1
    parts = zip(np.split(p, cuts), np.split(truth, cuts))
    return [Bin(p[0], p[-1], len(p), p.mean(), truth.mean()) for p, truth in parts if len(p)]


def split(test_ls):
    """The tracks of a list to index, and those to ask for.

    Args:
        test_ls: List file.

    Returns:
        (indexed, asked): lists of (work_id, track_id). Of each work with several tracks the last is asked for.
    """
    from mulkinet.data.lists import read_list

    works = {}
    for work, track in read_list(test_ls):
        works.setdefault(work, []).append(track)
    indexed = [(work, track) for work in works for track in works[work][:-1] or works[work]]
    asked = [(work, tracks[-1]) for work, tracks in works.items() if len(tracks) > 1]
    return indexed, asked


def build_demo_index(folder, demo, model_file, indexed):
    """Builds and calibrates an index of the demo set's audio.

    Args:
        folder: pathlib.Path to make it in.
        demo: mulkinet.sources.demo.demo_set.Demo.
        model_file: Model file.
        indexed: (work_id, track_id) of the tracks to index.

    Returns:
        Index.
    """
    from mulkinet import Index

    for work, track in indexed:
        (folder / "library" / work).mkdir(parents=True, exist_ok=True)
        os.symlink(audio_of(demo, work, track), folder / "library" / work / f"{track}.flac")
    index = Index.build(folder / "demo.index", folder / "library", model_file)
    index.calibrate(data_dir=demo.store_path, val_ls=demo.lists["VAL"], known=_ALL_KNOWN)
    return index


def audio_of(demo, work, track):
    """pathlib.Path of a performance of the demo set."""
    return Path(demo.store_path).absolute().parent / "demo_audio" / work / f"{track}.flac"


def judge(index, demo, asked):
    """Identifies performances, and compares the probabilities of works with the truth.

    Args:
        index: Index of `build_demo_index`.
        demo: mulkinet.sources.demo.demo_set.Demo.
        asked: (work_id, track_id) of performances that the index does not hold.

    Returns:
        (probabilities (n,), is_true (n,)).
    """
    answers = index.identify([audio_of(demo, *pair) for pair in asked], top=len(index))
    pairs = [
        (match.probability, match.work_id == work)
        for answer, (work, _) in zip(answers, asked)
        for match in answer.works
    ]
    probabilities, is_true = (np.array(column) for column in zip(*pairs))
    return probabilities, is_true


class Counts(NamedTuple):
    """What came of the queries of one half.

    Attributes:
        queries: Their number.
        known: How many have a cover in the index.
        alarms, misses: Counted.
        promised_alarms, promised_misses: Expected by the answers' probabilities.
        draws: (n, 2) counts of both, drawn from these probabilities.
        stated: (false alarms, misses) of 100 queries that the rule states beforehand.
    """

    queries: int
    known: int
    alarms: int
    misses: int
    promised_alarms: float
    promised_misses: float
    draws: np.ndarray
    stated: tuple


def count(answers, store, held, rule, rng):
    """Counts what a rule makes of the answers to all tracks of a store, own ones left out.

    Args:
        answers: Answers with all works of the index, one for each track.
        store: FeatureStore of the tracks.
        held: Works of the index, all of whose tracks in the store it holds.
        rule: Rule.
        rng: numpy Generator.

    Returns:
        Counts.
    """
    sizes = {work: (store.work_ids == work).sum() for work in held}
    promised, drawn, counted = np.zeros(2), np.zeros((_SIMULATED, 2)), np.zeros(2, int)
    n_known = 0
    for answer, work in zip(answers, store.work_ids):
        is_known = sizes.get(work, 0) > 1
        n_known += is_known
        names, chances = _chances(answer)
        best = int(np.argmax(chances[:-1]))
        is_yes = chances[best] >= rule.threshold
        counted += (
            is_yes and names[best] != work,
            is_known and not (is_yes and names[best] == work),
        )
        told = chances[best] if is_yes else 0.0
        promised += (is_yes - told, 1 - answer.none - told)
        # What the truth may have been, by these probabilities: a place among works and none.
        truth = np.searchsorted(np.cumsum(chances)[:-1], rng.random(_SIMULATED))
        is_right = is_yes & (truth == best)
        drawn[:, 0] += is_yes & ~is_right
        drawn[:, 1] += (truth < len(names) - 1) & ~is_right
    stated = rule.false_alarms, rule.misses
    return Counts(len(answers), n_known, *counted, *promised, drawn, stated)


def judge_all(answers, store, held):
    """Probabilities of all answers, "none of these" among them, and which are right: ((n,), (n,) bool)."""
    sizes = {work: (store.work_ids == work).sum() for work in held}
    judged = []
    for answer, work in zip(answers, store.work_ids):
        right = work if sizes.get(work, 0) > 1 else None
        judged += [(chance, name == right) for name, chance in zip(*_chances(answer))]
    probabilities, is_true = zip(*judged)
    return np.array(probabilities), np.array(is_true)


def _chances(answer):
    """Names and probabilities of all works, and of none, which is last."""
    chances = np.array([match.probability for match in answer.works] + [answer.none])
    return [match.work_id for match in answer.works] + [None], chances / chances.sum()


def halves(store_path, model_file, n_halves=_HALVES, seed=0, alignment=False):
    """Indexes half of the works and asks for all tracks, own ones left out.

    Args:
        store_path: FeatureStore of recordings.
        model_file: Model file or name.
        n_halves: How often, with other works each time.
        seed: Of what is drawn.
        alignment: Whether queries are aligned with the nearest tracks, as `mulkinet identify` does.

    Yields:
        (calibrated on "the other half" or "shipped", Index, its calibration, Answers, FeatureStore).
    """
    from mulkinet import FeatureStore, Index
    from mulkinet.data.averaged import at_rate_of
    from mulkinet.data.lists import write_list

    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        options = {"alignment": alignment, "progress": False}
        Index.build(folder / "all.index", store_path, model_file, **options)
        whole = Index.open(folder / "all.index")
        shipped = whole.data.calibration
        store = at_rate_of(whole.model, FeatureStore(store_path))
        keys = list(zip(store.work_ids.tolist(), store.track_ids.tolist()))
        feature = whole.data.config["feature"]
        queries = [np.asarray(store.get(key, feature)) for key in keys]
        embeddings = whole.data.embeddings[[whole.rows_by_key[key] for key in keys]]
        # Each track is a query of every half: it is embedded once.
        whole.embedder.embed = lambda _: embeddings
        works = np.unique(store.work_ids)
        for _ in range(n_halves):
            left = set(rng.permutation(works)[: len(works) // 2].tolist())
            path = shutil.copy(folder / "all.index", folder / "half.index")
            index = Index.open(path)
            index.__dict__["embedder"] = whole.embedder
            index.remove(sorted(left))
            for kind in ("shipped", "the other half"):
                if kind == "the other half":
                    write_list(folder / "LEFT", [key for key in keys if key[0] in left])
                    index.calibrate(data_dir=store_path, val_ls=folder / "LEFT")
                elif not shipped:
                    continue
                answers = index.identify(queries, top=len(index), exclude_self=True)
                calibration = index.data.calibration
                yield (
                    kind,
                    index,
                    calibration["reranked"] if alignment else calibration,
                    answers,
                    store,
                )


def _of_real(store_path, model_file, n_halves, alignment):
    from mulkinet.identify.posterior import choose_rule

    rng, counts, judged = np.random.default_rng(0), {}, {}
    for kind, index, calibration, answers, store in halves(
        store_path, model_file, n_halves, alignment=alignment
    ):
        held = set(index.data.ids["work_id"])
        judged.setdefault(kind, []).append(judge_all(answers, store, held))
        for false_alarms in (None, 5, 1):
            rule = choose_rule(calibration, index.n_works, false_alarms)
            found = count(answers, store, held, rule, rng)
            counts.setdefault((kind, false_alarms), []).append(found)
    rows = []
    for (kind, false_alarms), found in counts.items():
        rule = "p >= .5" if false_alarms is None else f"{false_alarms} of 100"
        rows += [(kind, rule, *row) for row in _rows_of(found)]
    first = found[0]
    click.echo(f"{first.queries} queries, {first.known} of works of the index; {len(found)} halves")
    headings = ("calibrated on", "rule", "", "counted", "promised by answers", "stated by rule")
    click.echo(table([headings, *rows]) + "\n")
    for kind, parts in judged.items():
        probabilities, truths = (np.concatenate(part) for part in zip(*parts))
        click.echo(_bins_text(f"calibrated on {kind}: probability", probabilities, truths))


def _rows_of(counts):
    """Of false alarms and misses: name, counted, promised with the interval of one half's count, stated."""
    ends = np.mean([np.quantile(one.draws, (0.025, 0.975), axis=0) for one in counts], axis=0)
    for place, name in enumerate(("false alarms", "misses")):
        counted = [(one.alarms, one.misses)[place] for one in counts]
        promised = np.mean([(one.promised_alarms, one.promised_misses)[place] for one in counts])
        stated = [one.stated[place] for one in counts]
        told = "" if None in stated else f"{np.mean(stated) * counts[0].queries / 100:.1f}"
        low, high = ends[:, place]
        numbers = f"{np.mean(counted):.1f} ({min(counted)} - {max(counted)})"
        yield name, numbers, f"{promised:.1f} ({low:.0f} - {high:.0f})", told


def _bins_text(heading, probabilities, is_true):
    rows = [
        (
            f"{bin.low:.4f} - {bin.high:.4f}",
            str(bin.n),
            f"{bin.promised:.4f}",
            f"{bin.observed:.4f}",
        )
        for bin in reliability(probabilities, is_true)
    ]
    return table([(heading, "answers", "mean", "right"), *rows]) + "\n"


@click.command(cls=Command)
@click.option(
    "--real", type=click.Path(), help="Feature store of recordings, for the check by halves."
)
@click.option("--model-file", help="Model.  [covers; models/demo/best.h5 without --real]")
@click.option(
    "--alignment", is_flag=True, help="With --real: align queries with the nearest tracks."
)
@click.option("--halves", "n_halves", default=_HALVES, help="With --real: how many draws.")
@click.option("--data-dir", default="datasets", help="Folder of the demo set.")
def main(real, model_file, alignment, n_halves, data_dir):
    """Print how far probabilities hold on works that calibration never saw."""
    if real:
        _of_real(real, model_file or "covers", n_halves, alignment)
        return
    from mulkinet.sources.demo.demo_set import ensure_demo

    demo = ensure_demo(data_dir)
    indexed, asked = split(demo.lists["TEST"])
    with tempfile.TemporaryDirectory() as folder:
        index = build_demo_index(Path(folder), demo, model_file or "models/demo/best.h5", indexed)
        probabilities, is_true = judge(index, demo, asked)
    click.echo(_bins_text("probability of works", probabilities, is_true))


if __name__ == "__main__":
    main()

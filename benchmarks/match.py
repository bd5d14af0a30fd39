"""The probability of `mulkinet match`: fitted to rendered pairs, and checked on a store of recordings.

    python benchmarks/match.py [--works 34] [--store STORE]

Rendered: works of the demo's composer (seed 7), two performances of each, 60 - 180 s, crema and HPCP; all pairs of one
work, and four times as many of two works, weighted so that half are covers. A logistic curve over log(score) is fitted:
its two constants are those in mulkinet/identify/match.py. Store: all pairs of covers, and 300 pairs of two works.
"""

import argparse
import os

import numpy as np

from mulkinet.alignment import align
from mulkinet.alignment.chroma import coarsen

FEATURES = ("crema", "hpcp")
SEED = 7
LENGTH_SEC = (60, 180)
BOUNDS = (0, 0.1, 0.5, 0.9, 0.99, 1)


def main():
    """Prints the constants, and how well they hold."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--works", type=int, default=34, help="rendered works")
    parser.add_argument("--store", help="feature store to check on")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from sklearn.linear_model import LogisticRegression

    rendered = [_score(*_rendered(options.works, feature)) for feature in FEATURES]
    scores, is_cover = (np.concatenate(part) for part in zip(*rendered))
    fitted = LogisticRegression(C=1000, class_weight="balanced")
    fitted.fit(np.log(scores)[:, None], is_cover)
    print(f"{len(scores)} rendered pairs, {is_cover.sum()} of covers")
    print(f"slope {fitted.coef_[0, 0]:.2f}, offset {-fitted.intercept_[0]:.2f}")
    if options.store:
        for feature in FEATURES:
            print(f"{options.store}, {feature}")
            _print_reliability(*_score(*_stored(options.store, feature)))


def _rendered(n_works, feature):
    from mulkinet.features import extractor
    from mulkinet.sources.demo.performer import perform
    from mulkinet.sources.demo.renderer import render

    extract = extractor(feature)
    chromas = []
    for work in range(n_works):
        for performance in range(2):
            y = render(perform(SEED, work, performance, length_sec=LENGTH_SEC))
            chromas.append(coarsen(extract(y), extract.settings["frame_rate"]))
    works = np.repeat(np.arange(n_works), 2)
    return [chroma for chroma, _ in chromas], works, chromas[0][1], 4 * n_works


def _stored(path, feature):
    from mulkinet import FeatureStore

    store = FeatureStore(path)
    rate = store.settings(feature)["frame_rate"]
    chromas = [coarsen(store.read(feature, row).T, rate) for row in range(len(store))]
    return [chroma for chroma, _ in chromas], np.asarray(store.work_ids), chromas[0][1], 300


def _score(chromas, works, rate, n_others):
    rng = np.random.default_rng(0)
    covers = [(i, j) for j in range(len(works)) for i in range(j) if works[i] == works[j]]
    others = []
    while len(others) < n_others:
        i, j = rng.integers(len(works), size=2)
        if works[i] != works[j]:
            others.append((i, j))
    found = [align(chromas[i], chromas[j], frame_rate=rate) for i, j in covers + others]
    scores = np.maximum([alignment.score for alignment in found], 1e-3)
    return scores, np.arange(len(found)) < len(covers)


def _print_reliability(scores, is_cover):
    from mulkinet.identify.match import cover_probability

    chances = np.array([cover_probability(score) for score in scores])
    weights = np.where(is_cover, 0.5 / is_cover.mean(), 0.5 / (1 - is_cover.mean()))
    accepted = chances >= 0.5
    print(
        f"  covers accepted {accepted[is_cover].mean():.3f} of {is_cover.sum()}, others "
        f"{accepted[~is_cover].mean():.3f} of {(~is_cover).sum()}"
    )
    for low, high in zip(BOUNDS, BOUNDS[1:]):
        within = (chances >= low) & (chances < high)
        if within.any():
            mean, share = (
                np.average(values[within], weights=weights[within])
                for values in (chances, is_cover)
            )
            print(
                f"  said {low:.2f} - {high:.2f}: {within.sum():4} pairs, mean {mean:.3f}, found {share:.3f}"
            )


if __name__ == "__main__":
    main()

"""What a run is trained on and validated with."""

import dataclasses
import functools
import hashlib
import json

import numpy as np

from mulkinet.data.checks import shared_works
from mulkinet.data.lists import describe_left_out, hold_out, read_list, select, tracks_of_list
from mulkinet.data.npy_folder import open_data
from mulkinet.errors import MulkinetError
from mulkinet.sources.charts.chart_store import FEATURES, ChartStore, is_chart_file

__all__ = ["TrainingData"]

_HELD_OUT_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class TrainingData:
    """The tracks of a run, all of them finite and in the store.

    Attributes:
        store: FeatureStore.
        feature: Which of its features the network sees.
        lists: {"TRAIN": pairs, "VAL": pairs} of (work_id, track_id).
        train_rows: (N,) int64 rows of the store to train on.
        validation_rows: (M,) int64 rows to validate with.
        notes: list of str, what the user should know of the lists: tracks that were left out, because
            they are missing, or because both lists have their works.
    """

    store: object
    feature: str
    lists: dict
    train_rows: np.ndarray
    validation_rows: np.ndarray
    notes: list

    @classmethod
    def open(
        cls, data_dir=None, train_ls=None, val_ls=None, feature=None, *, seed=0, skip_missing=False
    ):
        """Finds the tracks.

        Args:
            data_dir: A feature store, a folder of .npy files, or a file of charts (.jsonl, .jsonl.gz),
                which are performed anew at every step; without one the demo set, made first when it
                is not there.
            train_ls: List to train on; all tracks of the store by default (the demo set has one).
            val_ls: List to validate with; by default a tenth of the training works is held out.
            feature: Feature of the store; may be left out where there is only one. What charts are performed as,
                crema where it is left out.
            seed: int >= 0, of what is held out.
            skip_missing: Leave out tracks of the lists that the store lacks, and works of which
                one is left for that reason.

        Returns:
            TrainingData.

        Raises:
            MulkinetError: A list or the store is not usable, or they do not fit each other.
        """
        if data_dir is None:
            for path in filter(None, (train_ls, val_ls)):
                read_list(path)  # what is wrong with it is told before minutes of composing
            from mulkinet.sources.demo.demo_set import ensure_demo

            demo = ensure_demo(check=functools.partial(_choose_feature, feature=feature))
            data_dir = demo.store_path
            train_ls = train_ls or demo.lists["TRAIN"]
            val_ls = val_ls or demo.lists["VAL"]
        store = _open(data_dir, feature)
        feature = _choose_feature(store, feature)
        listed = {
            path: tracks_of_list(store, path, skip_missing=skip_missing)
            for path in (train_ls, val_ls)
            if path
        }
        train_pairs = listed[train_ls].pairs if train_ls else list(store.rows_by_key)
        if val_ls:
            validation_pairs = listed[val_ls].pairs
        else:
            train_pairs, validation_pairs = hold_out(train_pairs, _HELD_OUT_SHARE, seed)
        notes = [*filter(None, [describe_left_out(store)]), *getattr(store, "notes", ())]
        notes += [left.describe(path) for path, left in listed.items() if left.n_missing]
        validation_pairs = _without_trained_works(train_pairs, validation_pairs, val_ls, notes)
        train_rows = select(store, train_pairs, train_ls)
        validation_rows = select(store, validation_pairs, val_ls)
        store.check_finite(feature, np.concatenate([train_rows, validation_rows]))
        lists = {"TRAIN": train_pairs, "VAL": validation_pairs}
        return cls(store, feature, lists, train_rows, validation_rows, notes)

    def fingerprint(self):
        """What tells the store's content: str, of its ids, settings and lengths, and of one frame of every track.

        Of a file of charts, its bytes.
        """
        if hasattr(self.store, "perform"):
            return hashlib.sha256(self.store.path.read_bytes()).hexdigest()[:16]
        lengths = self.store.n_frames(self.feature)
        ids = [self.store.work_ids.tolist(), self.store.track_ids.tolist(), lengths.tolist()]
        settings = self.store.settings(self.feature)
        sha = hashlib.sha256(json.dumps([ids, settings], sort_keys=True).encode())
        for row in np.concatenate([self.train_rows, self.validation_rows]):
            frame = self.store.read(self.feature, row, int(lengths[row]) // 2, 1)
            sha.update(np.ascontiguousarray(frame))
        return sha.hexdigest()[:16]

    def provenance(self):
        """What of the data decides how training goes: dict of str to str or number."""
        found = {"feature": self.feature}
        for name, setting in self.store.settings(self.feature).items():
            found[f"feature_{name}"] = setting
        for name, pairs in self.lists.items():
            digest = hashlib.sha256(json.dumps(pairs).encode()).hexdigest()
            found[f"list_{name}"] = f"{len(pairs)} tracks ({digest[:12]})"
        return found


def _without_trained_works(train_pairs, validation_pairs, val_ls, notes):
    """The pairs whose works are not trained on, which would make the validation MAP look too good."""
    shared = shared_works(train_pairs, validation_pairs)
    kept = [pair for pair in validation_pairs if pair[0] not in set(shared)]
    if len({work for work, _ in kept}) == len(kept):
        raise MulkinetError(
            f"expected a work of 2 or more tracks to validate with that is not trained on, found "
            f"none in {val_ls}, of whose works {len(shared)} are in the training list too; "
            "name other works"
        )
    if shared:
        notes.append(
            f"warning: {len(shared)} works are in the training and in the validation list, such as "
            f"{shared[0]}: their {len(validation_pairs) - len(kept)} tracks are left out of validation"
        )
    return kept


def _open(data_dir, feature):
    if not is_chart_file(data_dir):
        return open_data(data_dir)
    return ChartStore(data_dir, feature=feature or FEATURES[0])


def _choose_feature(store, feature=None):
    """The named feature of a store, or its only one."""
    if feature is None and len(store.features) > 1:
        raise MulkinetError(
            f"expected --feature, found {len(store.features)} features in {store.path}; "
            f"choose one of {', '.join(store.features)}"
        )
    feature = feature or store.features[0]
    store.settings(feature)
    return feature

"""Types of the public names; tests/test_types.py holds them against the functions and has mypy use them."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mulkinet import losses as losses

__version__: str
__all__: list[str]

_Path = str | os.PathLike[str]
_Network = Any  # a tf.keras.Model; TensorFlow 2.15 has no types
_Class = TypeVar("_Class", bound=type)
_Track = str | tuple[str, str]
_Tracks = Sequence[_Track] | Sequence[int] | NDArray[Any]
_Query = _Path | NDArray[Any]

class MulkinetError(Exception): ...

class FeatureStore:
    path: Path
    name: str
    attributes: dict[str, Any]
    work_ids: NDArray[np.str_]
    track_ids: NDArray[np.str_]
    features: tuple[str, ...]
    metadata: dict[str, NDArray[np.str_]]
    def __init__(self, path: _Path) -> None: ...
    def __len__(self) -> int: ...
    def get(self, track: _Track, feature: str) -> NDArray[np.float32]: ...
    def read(
        self, feature: str, row: int, start: int = 0, n_frames: int | None = None
    ) -> NDArray[np.floating[Any]]: ...
    def n_frames(self, feature: str) -> NDArray[np.int64]: ...
    def row(self, track: _Track) -> int: ...
    def frames(self, feature: str) -> NDArray[np.floating[Any]]: ...
    def offsets(self, feature: str) -> NDArray[np.int64]: ...
    def settings(self, feature: str) -> dict[str, Any]: ...
    def check_finite(self, feature: str, rows: Sequence[int] | None = None) -> None: ...
    def release(self) -> None: ...
    @property
    def rows_by_key(self) -> dict[tuple[str, str], int]: ...

def build_model(name: str, **options: Any) -> _Network: ...
def register_network(name: str) -> Callable[[_Class], _Class]: ...
def register_loss(name: str) -> Callable[[_Class], _Class]: ...
def load_model(path: _Path) -> _Network: ...
def save_model(
    model: _Network, path: _Path, *, state: dict[str, Any] | None = None, dtype: str = "float32"
) -> None: ...
def import_weights(path: _Path, **options: Any) -> _Network: ...
def embed(
    model: _Network,
    store: Any,
    *,
    rows: ArrayLike | None = None,
    feature: str | None = None,
    batch_size: int = 32,
    pad: str = "wrap",
    progress: bool = False,
) -> NDArray[np.float32]: ...
def evaluate(
    embeddings: ArrayLike,
    work_ids: ArrayLike,
    *,
    track_ids: ArrayLike | None = None,
    queries: _Tracks | None = None,
    references: _Tracks | None = None,
    distance: str = "cosine",
    weights: Any = None,
    ks: Sequence[int] = (1, 5, 10),
    thresholds: bool = True,
    tau: float | None = None,
    ci: bool = False,
    seed: int = 0,
    conventions: bool = False,
    memory: float = ...,
    progress: bool = False,
) -> dict[str, Any]: ...

@dataclass(frozen=True)
class _Match:
    work_id: str
    track_id: str
    title: str
    path: str
    distance: float
    probability: float | None
    is_cover: bool | None
    reranked: float | None
    interval: tuple[float, float] | None

@dataclass(frozen=True)
class _Span:
    start_sec: float
    end_sec: float
    windows: int
    match: _Match

@dataclass(frozen=True)
class _Answer:
    query: str
    seconds: float | None
    works: list[_Match]
    tracks: list[_Match]
    spans: list[_Span]
    warnings: list[str]
    alignments: list[Any]
    skipped: str | None
    heard_sec: float | None
    none: float | None
    others: float | None
    is_none: bool | None
    rule: Any
    def to_dict(self) -> dict[str, Any]: ...

class Index:
    path: Path
    changes: Any
    def __len__(self) -> int: ...
    @classmethod
    def open(
        cls,
        path: _Path | Sequence[_Path],
        model_file: _Path | None = None,
        *,
        report: Callable[[str], object] = ...,
    ) -> Index: ...
    @classmethod
    def build(
        cls,
        path: _Path,
        collection: _Path,
        model_file: _Path = "covers",
        *,
        baseline: str | None = None,
        feature: str | None = None,
        layout: str | None = None,
        alignment: bool = True,
        accept_partial: bool = False,
        n_workers: int = -1,
        batch_size: int = 16,
        progress: bool = True,
        report: Callable[[str], object] = ...,
    ) -> Index: ...
    def add(
        self,
        collection: _Path,
        *,
        layout: str | None = None,
        alignment: bool = False,
        accept_partial: bool = False,
        n_workers: int = -1,
        batch_size: int = 16,
        progress: bool = True,
    ) -> Any: ...
    def remove(self, names: Sequence[str]) -> Any: ...
    def calibrate(
        self,
        *,
        data_dir: _Path | None = None,
        val_ls: _Path | None = None,
        false_accept_rate: float | None = None,
        known: float = 0.5,
    ) -> dict[str, Any]: ...
    @overload
    def identify(
        self,
        queries: _Query,
        *,
        top: int = 10,
        sr: float | None = None,
        tau: float | None = None,
        false_alarms: float | None = None,
        segment_sec: float | None = None,
        hop_sec: float | None = None,
        rerank: int | None = None,
        n_aligned: int = 0,
        exclude_self: bool = False,
        start_sec: float = 0.0,
        duration_sec: float | None = None,
        accept_partial: bool = False,
        n_workers: int = -1,
        progress: bool = True,
    ) -> _Answer: ...
    @overload
    def identify(
        self,
        queries: list[Any],
        *,
        top: int = 10,
        sr: float | None = None,
        tau: float | None = None,
        false_alarms: float | None = None,
        segment_sec: float | None = None,
        hop_sec: float | None = None,
        rerank: int | None = None,
        n_aligned: int = 0,
        exclude_self: bool = False,
        start_sec: float = 0.0,
        duration_sec: float | None = None,
        accept_partial: bool = False,
        n_workers: int = -1,
        progress: bool = True,
    ) -> list[_Answer]: ...
    def info(self) -> dict[str, Any]: ...
    @property
    def n_works(self) -> int: ...

@dataclass(frozen=True)
class _PairMatch:
    a: str
    b: str
    seconds_a: float
    seconds_b: float
    feature: str | None
    score: float
    probability: float
    is_cover: bool
    same_recording: bool | None
    transposition: int
    tempo_ratio: float
    spans: list[tuple[float, float, float, float]]
    alignment: Any
    def to_dict(self) -> dict[str, Any]: ...

def match(
    a: _Query,
    b: _Query,
    *,
    feature: str = "crema",
    frame_rate: float | tuple[float, float] | None = None,
) -> _PairMatch: ...
def embed_audio(
    paths: _Path | Sequence[_Path], model: Any = "covers", *, n_workers: int = -1
) -> NDArray[np.float32]: ...
def distance(a: _Query, b: _Query, model: Any = "covers") -> float: ...

class CoverIdentifier:
    classes_: NDArray[Any]
    embeddings_: NDArray[np.float32]
    works_: NDArray[Any]
    def __init__(
        self, model: Any = "covers", *, known: float = 0.5, none: Any = None, n_workers: int = -1
    ) -> None: ...
    def get_params(self, deep: bool = True) -> dict[str, Any]: ...
    def set_params(self, **params: Any) -> CoverIdentifier: ...
    def fit(self, paths: Sequence[_Path], works: Sequence[Any]) -> CoverIdentifier: ...
    def kneighbors(
        self, paths: Sequence[_Path], n_neighbors: int = 5
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]: ...
    def predict_proba(self, paths: Sequence[_Path]) -> NDArray[np.float64]: ...
    def predict(self, paths: Sequence[_Path]) -> NDArray[Any]: ...

"""Every public name as a user's program uses it, for mypy; never run."""

from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

import mulkinet


def scores(store_path: str, model_path: str) -> float:
    store = mulkinet.FeatureStore(store_path)
    model = mulkinet.load_model(model_path)
    embeddings: NDArray[np.float32] = mulkinet.embed(model, store, feature=store.features[0])
    found: dict[str, Any] = mulkinet.evaluate(embeddings, store.work_ids, ks=(1, 10), ci=True)
    return float(found["MAP"])


def first_frame(store: mulkinet.FeatureStore) -> NDArray[np.float32]:
    pitch_classes: NDArray[np.float32] = store.get((store.work_ids[0], store.track_ids[0]), "crema")
    return pitch_classes[:, 0]


def nearest_work(index_path: str, recording: str) -> Optional[str]:
    index = mulkinet.Index.open(index_path)
    answer = index.identify(recording, top=3)
    return answer.works[0].work_id if answer.works else None


def covers_in(index: mulkinet.Index, recordings: list[str]) -> list[bool]:
    answers = index.identify(recordings)
    return [any(work.is_cover for work in answer.works) for answer in answers]


def semitones(a: str, b: str) -> int:
    try:
        return mulkinet.match(a, b, feature="hpcp").transposition
    except mulkinet.MulkinetError:
        return 0


def copy(weights: str, path: str) -> None:
    mulkinet.save_model(mulkinet.import_weights(weights), path)
    mulkinet.save_model(mulkinet.build_model("mulkinet", block="simple"), path)


@mulkinet.register_network("typed")
class Network: ...


@mulkinet.register_loss("typed")
class Loss: ...


embeddings = mulkinet.embed_audio(["a.mp3", "b.mp3"])
apart: float = mulkinet.distance("a.mp3", embeddings[1])
identifier = mulkinet.CoverIdentifier(known=0.9).fit(["a.mp3"], ["A"])
print(apart, identifier.predict(["c.mp3"]), identifier.kneighbors(["c.mp3"])[0].shape)

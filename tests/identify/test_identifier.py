"""Recordings in Python: embedded, compared and named, without an index file."""

import numpy as np
import pytest

from mulkinet import CoverIdentifier, Index, MulkinetError, distance, embed_audio, load_model
from mulkinet.errors import SkippedInput
from tests.identify.songs import write_song


@pytest.fixture(scope="module")
def paths(library):
    return [library / f"w{work}" / f"p{part}.wav" for work in range(4) for part in (0, 1)]


@pytest.fixture(scope="module")
def works():
    return [f"w{work}" for work in range(4) for _ in range(2)]


@pytest.fixture(scope="module")
def model(model_file, built):
    """The chord network with the calibration of an index of its library."""
    network = load_model(model_file)
    index = Index.open(built)
    rows = index.data.embeddings
    from mulkinet.identify.calibration import calibrate

    network.metadata["calibration"] = calibrate(
        rows, index.data.ids["work_id"].astype(str), index.data.ids["track_id"].astype(str),
        distance=network.distance, weights=None, false_accept_rate=None, known=0.5,
    )  # fmt: skip
    return network


@pytest.fixture(scope="module")
def fitted(model, paths, works):
    return CoverIdentifier(model, n_workers=1).fit(paths, works)


def test_embeddings_are_those_of_an_index(paths, model_file, built):
    found = embed_audio([*paths[:3], paths[0]], model_file, n_workers=1)
    index = Index.open(built)
    rows = [index.rows_by_key[path.parent.name, path.stem] for path in paths[:3]]
    np.testing.assert_allclose(found[:3], index.data.embeddings[rows], atol=1e-5)
    np.testing.assert_allclose(found[3], found[0], atol=1e-6)


def test_distances_of_paths_and_of_embeddings_are_the_same(paths, model_file):
    a, b, c = embed_audio([paths[0], paths[1], paths[2]], model_file, n_workers=1)
    assert distance(paths[0], paths[1], model_file) == pytest.approx(
        distance(a, b, model_file), abs=1e-6
    )
    cosine = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert distance(a, b, model_file) == pytest.approx(cosine, abs=1e-6)
    assert distance(a, b, model_file) < distance(a, c, model_file)


def test_a_pair_by_the_scaled_distance_is_in_a_typical_neighbourhood(model_file, paths):
    network = load_model(model_file)
    a, b = embed_audio(paths[:2], network, n_workers=1)
    plain = distance(a, b, network)
    network.distance = "scaled_cosine"
    network.metadata["calibration"] = {"typical": 0.4}
    assert distance(a, b, network) == pytest.approx(plain + 0.6, abs=1e-6)


def test_performances_never_heard_are_named(fitted, tmp_path):
    queries = [write_song(tmp_path / f"{work}.wav", work, 7) for work in (2, 0)]
    queries.append(write_song(tmp_path / "other.wav", 17, 7))
    assert fitted.predict(queries).tolist() == ["w2", "w0", None]
    chances = fitted.predict_proba(queries)
    assert chances.shape == (3, 5)
    np.testing.assert_allclose(chances.sum(axis=1), 1)
    assert chances[2].argmax() == 4
    distances, rows = fitted.kneighbors(queries, 2)
    assert distances.shape == rows.shape == (3, 2)
    assert fitted.works_[rows[0]].tolist() == ["w2", "w2"]
    assert (np.diff(distances, axis=1) >= 0).all()


def test_what_cannot_be_done_is_said(model, paths, works, tmp_path, model_file):
    with pytest.raises(MulkinetError, match="expected fit before"):
        CoverIdentifier(model).predict(paths)
    with pytest.raises(MulkinetError, match="as many works as paths"):
        CoverIdentifier(model).fit(paths, works[1:])
    with pytest.raises(SkippedInput, match=r"absent.wav: .*\(and 1 more\)"):
        embed_audio([tmp_path / "absent.wav", tmp_path / "b.wav", paths[0]], model, n_workers=1)
    with pytest.raises(MulkinetError, match="embedding of"):
        distance(np.zeros(3), paths[0], model)
    bare = CoverIdentifier(load_model(model_file), n_workers=1).fit(paths[:2], works[:2])
    with pytest.raises(MulkinetError, match="with a calibration"):
        bare.predict(paths[:1])


def test_parameters_as_scikit_learn_has_them():
    identifier = CoverIdentifier(known=0.2)
    assert identifier.get_params() == {
        "model": "covers",
        "known": 0.2,
        "none": None,
        "n_workers": -1,
    }
    assert identifier.set_params(known=0.9) is identifier
    assert identifier.known == 0.9
    with pytest.raises(MulkinetError, match="expected one of"):
        identifier.set_params(unknown=1)

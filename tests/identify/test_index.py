"""The index from audio: who is found, what is made again, and what is refused."""

import os
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
import soundfile
import soxr

from mulkinet import FeatureStore, Index, MulkinetError, load_model
from mulkinet.data.lists import write_list
from mulkinet.data.store_writer import StoreWriter
from mulkinet.errors import SkippedInput
from mulkinet.features.audio import decode
from mulkinet.identify import collection
from mulkinet.identify.embedder import Embedder
from mulkinet.identify.index_file import fingerprint, read_index, write_index
from mulkinet.sources.audio_dir import preprocess_audio_dir
from tests.identify.conftest import WORKS
from tests.identify.songs import make_library, play, write_song


@pytest.fixture(scope="module")
def opened(built):
    return Index.open(built)


def add(index, folder):
    return index.add(folder, n_workers=1, progress=False)


def build(path, folder, model_file):
    return Index.build(path, folder, model_file, n_workers=1, progress=False)


def test_performances_it_never_heard_are_named(opened, tmp_path):
    paths = [write_song(tmp_path / f"{work}.wav", work, 7) for work in WORKS]
    answers = opened.identify(paths, n_workers=1)
    assert [answer.works[0].work_id for answer in answers] == [f"w{work}" for work in WORKS]
    [first, *_] = answers
    assert first.seconds == pytest.approx(4, abs=0.1)
    assert len({match.work_id for match in first.works}) == len(first.works) == 6
    assert len(first.tracks) == 10
    distances = [match.reranked for match in first.tracks]
    assert distances == sorted(distances)
    # The best track of the nearest work is the nearest track.
    assert first.works[0] == first.tracks[0]
    assert first.works[0].probability is None
    assert first.works[0].is_cover is None


def test_a_recording_of_the_index_is_at_distance_0(opened, library):
    answer = opened.identify(str(library / "w2" / "p0.wav"), top=1, tau=0.0)
    assert answer.works[0].is_cover
    assert f"{answer.works[0].distance:.4f}" == "0.0000"
    assert answer.works[0].path.startswith(str(library / "w2" / "p"))


def test_samples_features_and_files_are_answered_alike(opened, library):
    y = decode(library / "w3" / "p1.wav").y
    embedder = opened.embedder
    recording = embedder.from_samples(y)
    x = embedder.track_length.apply(recording.x, recording.frame_rate)
    by_file, by_samples, by_features = opened.identify([library / "w3" / "p1.wav", y, x])
    assert by_file.tracks[0].work_id == "w3"
    assert by_samples.query == "query 1"
    for other in (by_samples, by_features):
        assert [match.work_id for match in other.works] == [m.work_id for m in by_file.works]
        np.testing.assert_allclose(
            [m.distance for m in other.tracks], [m.distance for m in by_file.tracks], atol=1e-6
        )


def test_short_queries_are_repeated_and_warned_of(opened, library):
    y = decode(library / "w1" / "p0.wav").y
    short = opened.identify(y[: 2 * 44100])
    assert len(short.works) == 6
    [warning] = short.warnings
    assert "2.0 s" in warning
    assert "trained on 30 s" in warning


def test_unreadable_queries_do_not_keep_the_others_from_being_answered(opened, library, tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    queries = [tmp_path / "text.wav", np.zeros(44100) + np.nan, library / "w0" / "p0.wav"]
    text, nan, good = opened.identify([*queries, tmp_path / "absent.wav"], n_workers=1)[:3]
    assert "found" in text.skipped
    assert "NaN" in nan.skipped
    assert good.works[0].work_id == "w0"
    with pytest.raises(SkippedInput, match="text.wav"):
        opened.identify(tmp_path / "text.wav")


@pytest.mark.parametrize(
    ("array", "match"),
    [
        (np.zeros(44100), "silence"),
        (play(1, 0, 4)[:22000], "at least 0.5 s of audio, found 22000 samples"),
        (np.zeros((12, 100)), "nothing but zeros"),
        (np.full((12, 100), np.inf), "NaN or infinity"),
    ],
)
def test_arrays_in_which_there_is_nothing_to_hear_are_skipped(opened, array, match):
    with pytest.raises(SkippedInput, match=match):
        opened.identify(array)
    skipped, answered = opened.identify([array, play(1, 0, 4)])
    assert skipped.skipped
    assert answered.works[0].work_id == "w1"


def test_samples_of_any_rate_and_channels(opened, library):
    y = decode(library / "w3" / "p1.wav").y
    mono = opened.identify(y).tracks[0]
    half = soxr.resample(y, 44100, 22050)
    for array, sr in [(np.stack([y, y]), 44100), (np.stack([half, half]), 22050), (half, 22050)]:
        found = opened.identify(array, sr=sr).tracks[0]
        assert (found.work_id, found.track_id) == (mono.work_id, mono.track_id)
        assert found.distance == pytest.approx(mono.distance, abs=0.02)
    # 16 bits are too few for pure tones, see songs.py.
    as_integers = opened.identify((y.astype(np.float64) * 2**31).astype(np.int32), sr=44100)
    assert as_integers.tracks[0].distance == pytest.approx(mono.distance, abs=1e-3)


@pytest.mark.parametrize(
    ("shape", "options", "match"),
    [
        (
            (44100, 2),
            {},
            r"with sr also \(channels, n_samples\).* found an array of shape \(44100, 2\)",
        ),
        ((44100, 2), {"sr": 44100}, r"found an array of shape \(44100, 2\); give its transpose"),
        ((2, 44100), {}, r"found an array of shape \(2, 44100\)"),
        ((2, 2, 44100), {"sr": 44100}, r"found an array of shape \(2, 2, 44100\)"),
        ((44100,), {"sr": 0}, "expected sr in Hz, found 0"),
    ],
)
def test_arrays_of_other_shapes_are_refused_before_anything_is_made_of_them(
    opened, shape, options, match
):
    with pytest.raises(MulkinetError, match=match):
        opened.identify(np.ones(shape, np.float32), **options)


def test_a_hop_without_segments_is_refused(opened):
    with pytest.raises(MulkinetError, match="together with segment_sec"):
        opened.identify(play(1, 0, 4), hop_sec=2)


def test_names_that_are_not_utf8_are_told_before_anything_is_embedded(
    opened, library, model_file, tmp_path, n_decoded
):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(library, folder / "library")
    with pytest.raises(MulkinetError, match=r"path is in UTF-8, found other bytes in '.*udce9"):
        build(tmp_path / "x.index", folder / "library", model_file)
    answer, good = opened.identify(
        [folder / "library" / "w1" / "p0.wav", library / "w1" / "p0.wav"], n_workers=1
    )
    assert "rename it" in answer.skipped
    assert good.works[0].work_id == "w1"


def test_titles_of_tags_and_stores_are_in_the_answer(tmp_path, model_file):
    y = play(3, 0, 4)
    for name, tags in [("both", ("Song", "Band")), ("one", ("Solo", "")), ("none", ("", ""))]:
        path = tmp_path / "library" / name / "t.wav"
        path.parent.mkdir(parents=True)
        with soundfile.SoundFile(path, "w", 44100, 1, subtype="FLOAT") as file:
            for tag, value in zip(("title", "artist"), tags):
                if value:
                    setattr(file, tag, value)
            file.write(y)
    index = build(tmp_path / "x.index", tmp_path / "library", model_file)
    titles = {match.work_id: match.title for match in index.identify(y).works}
    assert titles == {"both": "Song (Band)", "one": "Solo", "none": "t"}

    settings = load_model(model_file).metadata["feature_settings"]
    x = np.random.default_rng(0).random((200, 12))
    metadata = {"title": ["Song", "Solo"], "artist": ["Band", ""]}
    tracks = [("a", "0"), ("b", "0")]
    with StoreWriter(tmp_path / "s.h5", name="s", tracks=tracks, metadata=metadata) as writer:
        writer.add_feature("hpcp", n_frames=[200, 200], settings=settings)
        for track in tracks:
            writer.write("hpcp", track, x)
    index = build(tmp_path / "y.index", tmp_path / "s.h5", model_file)
    titles = {match.work_id: match.title for match in index.identify(x.T).works}
    assert titles == {"a": "Song (Band)", "b": "Solo"}


def test_the_works_of_a_medley_are_found_where_they_are(opened):
    medley = np.concatenate([play(work, 8, n) for work, n in ((4, 20), (1, 19), (2, 21))])
    answer = opened.identify(medley, segment_sec=8, hop_sec=3)
    assert answer.works == []
    assert [span.match.work_id for span in answer.spans] == ["w4", "w1", "w2"]
    # Borders lie midway between the centres of windows of which either holds 5 s of its work, or more.
    np.testing.assert_allclose([span.start_sec for span in answer.spans], [0, 20.5, 38.5], atol=0.1)
    np.testing.assert_allclose([span.end_sec for span in answer.spans], [20.5, 38.5, 60], atol=0.1)


def test_a_new_work_is_found_without_training(index_path, tmp_path):
    index = Index.open(index_path)
    query = play(17, 5, 4)
    assert index.identify(query).works[0].distance > 1e-4
    changes = add(index, make_library(tmp_path / "new", [17], [0]))
    assert (changes.added, changes.unchanged, changes.embedded) == (1, 0, 1)
    assert index.identify(query).works[0].work_id == "w17"
    assert Index.open(index_path).n_works == 7


def test_an_index_is_not_written_when_nothing_changed(index_path, library, model_file, tmp_path):
    before = index_path.stat()
    assert add(Index.open(index_path), library).unchanged == 12
    assert build(index_path, library, model_file).changes.unchanged == 12
    assert index_path.stat().st_ino == before.st_ino
    assert index_path.stat().st_mtime_ns == before.st_mtime_ns
    # The same audio elsewhere: its path is another, and its row the same.
    rows = Index.open(index_path).rows_by_key
    shutil.copytree(library, tmp_path / "moved")
    index = Index.open(index_path)
    assert add(index, tmp_path / "moved")[:5] == (0, 0, 12, 0, 0)
    assert Index.open(index_path).rows_by_key == rows
    answer = index.identify(library / "w2" / "p0.wav", top=1)
    assert answer.works[0].path.startswith(str(tmp_path / "moved" / "w2" / "p"))


def test_what_is_there_is_never_made_again(index_path, library, tmp_path, cache_dir, n_decoded):
    index = Index.open(index_path)
    assert add(index, library)[:5] == (0, 0, 12, 0, 0)
    # A copy under another name is recognised by its content, a changed file of an old name too.
    folder = tmp_path / "more"
    (folder / "w0").mkdir(parents=True)
    shutil.copy(library / "w0" / "p0.wav", folder / "w0" / "p0.wav")
    shutil.copy(library / "w5" / "p1.wav", folder / "w0" / "copy.wav")
    write_song(folder / "w0" / "p1.wav", 40, 0)
    assert add(index, folder)[:5] == (1, 1, 1, 0, 1)
    assert len(n_decoded) == 1
    rows = {key: row for key, row in index.rows_by_key.items() if key[1] in ("copy", "p1")}
    embeddings = index.data.embeddings
    same = embeddings[rows["w0", "copy"]], embeddings[rows["w5", "p1"]]
    np.testing.assert_array_equal(*same)
    answer = index.identify(play(40, 0, 4), top=1)
    assert (answer.works[0].work_id, answer.works[0].track_id) == ("w0", "p1")


def test_what_was_extracted_serves_a_store_and_every_model(
    library, model_file, other_model_file, tmp_path, cache_dir, n_decoded
):
    preprocess_audio_dir(library, tmp_path / "out", run_mode="single", progress=False)
    assert len(n_decoded) == 12
    assert build(tmp_path / "a.index", library, model_file).changes.embedded == 12
    assert build(tmp_path / "b.index", library, other_model_file).changes.embedded == 12
    assert len(n_decoded) == 12
    assert sorted(entry.name for entry in tmp_path.glob("*.index*")) == [
        *("a.index", "a.index.lock", "b.index", "b.index.lock")
    ]


def test_files_that_did_not_change_are_not_read_again(index_path, library, tmp_path, monkeypatch):
    folder = tmp_path / "library"
    shutil.copytree(library, folder)
    add(Index.open(index_path), folder)
    read = []
    content_of = collection.content_of
    monkeypatch.setattr(
        collection, "content_of", lambda path: read.append(path) or content_of(path)
    )
    assert add(Index.open(index_path), folder).unchanged == 12
    assert read == []
    # Touched: its content is the same. Written anew: another.
    os.utime(folder / "w0" / "p0.wav", (1, 1))
    write_song(folder / "w1" / "p0.wav", 41, 0)
    assert add(Index.open(index_path), folder)[:5] == (0, 1, 11, 0, 1)
    # By several threads, in any order.
    assert sorted(read) == [folder / "w0" / "p0.wav", folder / "w1" / "p0.wav"]


def test_an_index_made_before_there_were_stamps_opens_and_gets_them(index_path, library):
    expected = Index.open(index_path).identify(play(3, 5, 4))
    with h5py.File(index_path, "r+") as file:
        del file["stamp"]
    old = Index.open(index_path)
    assert set(old.data.ids["stamp"]) == {""}
    assert old.identify(play(3, 5, 4)) == expected
    assert add(old, library)[:5] == (0, 0, 12, 0, 0)
    assert "" not in Index.open(index_path).data.ids["stamp"]


def test_removed_works_and_tracks_are_not_found(index_path, library):
    index = Index.open(index_path)
    assert index.remove(["w2", "w3/p0"]).removed == 3
    assert len(Index.open(index_path)) == 9
    answer = index.identify(library / "w2" / "p0.wav")
    assert "w2" not in {match.work_id for match in answer.works}
    with pytest.raises(MulkinetError, match=r"found 1 that it does not hold \(w2\)"):
        index.remove(["w4", "w2"])
    assert len(Index.open(index_path)) == 9
    with pytest.raises(MulkinetError, match="all 9 would go"):
        index.remove(["w0", "w1", "w3", "w4", "w5"])


def test_a_flat_folder_is_one_of_works(tmp_path, model_file):
    for work in (1, 2):
        write_song(tmp_path / "flat" / f"song {work}.wav", work, 0)
    index = build(tmp_path / "flat.index", tmp_path / "flat", model_file)
    assert index.data.ids["work_id"].tolist() == ["song 1", "song 2"]
    assert index.identify(play(2, 1, 4)).works[0].work_id == "song 2"


def test_a_store_gives_the_embeddings_that_its_audio_gives(library, model_file, built, tmp_path):
    result = preprocess_audio_dir(
        library,
        tmp_path,
        run_mode="single",
        spect_len=None,
        downsample=16,
        name="s",
        progress=False,
    )
    index = build(tmp_path / "store.index", result.store_path, model_file)
    store, data = FeatureStore(result.store_path), read_index(built)
    assert index.data.ids["track_id"].tolist() == store.track_ids.tolist()
    np.testing.assert_allclose(index.data.embeddings, data.embeddings, atol=1e-5)
    assert index.data.ids["path"][0] == "w0/p0.wav"
    lists = write_list(tmp_path / "VAL", [(f"w{w}", f"p{p}") for w in range(3) for p in (0, 1)])
    assert lists is None
    found = index.calibrate(data_dir=result.store_path, val_ls=tmp_path / "VAL")
    assert (found["tracks"], found["works"], found["cover_pairs"]) == (6, 3, 6)
    other = build(tmp_path / "again.index", result.store_path, model_file)
    same = other.calibrate(val_ls=tmp_path / "VAL")
    assert same["tau"] == pytest.approx(found["tau"], abs=1e-6)


def test_calibration_is_kept_and_used(index_path, library):
    index = Index.open(index_path)
    found = index.calibrate(false_accept_rate=0.05)
    again = Index.open(index_path)
    assert again.data.calibration == found
    named = {"data_dir": str(index_path), "val_ls": "all tracks", "synthetic": False}
    assert found["source"] == named
    answer = again.identify(library / "w0" / "p0.wav")
    match, *_, far = answer.works
    assert match.is_cover
    assert not far.is_cover
    assert match.probability > 0.5 > far.probability
    low, high = match.interval
    assert 0 < low <= match.probability <= high < 1
    told = sum(match.probability for match in answer.works)
    assert told + answer.none + answer.others == pytest.approx(1)
    assert answer.is_none is False
    assert all(t.probability <= match.probability for t in answer.tracks)
    # A yes takes both.
    answer = again.identify(library / "w0" / "p0.wav", tau=-50.0)
    assert not answer.works[0].is_cover
    kept = again.identify(library / "w0" / "p0.wav", false_alarms=1)
    assert kept.rule.false_alarms <= 1
    assert kept.rule.threshold >= answer.rule.threshold == 0.5


def test_what_the_index_does_not_hold_is_none_of_these(index_path):
    index = Index.open(index_path)
    index.calibrate()
    answer = index.identify(play(17, 5, 4))
    assert answer.is_none
    assert answer.none > 0.5
    assert not any(match.is_cover for match in answer.works)


def test_false_alarms_cannot_be_kept_without_a_calibration(opened):
    with pytest.raises(MulkinetError, match="calibrate it with mulkinet calibrate"):
        opened.identify(play(1, 0, 4), false_alarms=1)
    with pytest.raises(MulkinetError, match="above 0 and up to 100"):
        opened.identify(play(1, 0, 4), false_alarms=0)


def test_a_query_that_is_in_the_index_can_be_left_out(opened, library, tmp_path):
    path = library / "w2" / "p0.wav"
    [match, *_] = opened.identify(path, exclude_self=True).tracks
    assert (match.work_id, match.track_id) == ("w2", "p1")
    # By its content wherever it is; another performance is not left out.
    shutil.copy(path, tmp_path / "copy.wav")
    copy, other = opened.identify(
        [tmp_path / "copy.wav", write_song(tmp_path / "other.wav", 2, 8)],
        exclude_self=True,
        n_workers=1,
    )
    assert "p0" not in {match.track_id for match in copy.tracks if match.work_id == "w2"}
    assert {match.track_id for match in other.tracks if match.work_id == "w2"} == {"p0", "p1"}


def test_what_was_heard_is_told(opened):
    long = opened.identify(play(1, 0, 45))
    assert long.seconds == pytest.approx(45, abs=0.1)
    assert long.heard_sec == pytest.approx(opened.embedder.heard_sec(45))
    [warning] = long.warnings
    assert warning == (
        "it is 45 s long, of which the model takes the first 30 s; what comes later was not heard: try --segments"
    )


def test_calibrating_on_works_of_the_training_is_warned_of(index_path):
    lines = []
    index = Index.open(index_path, report=lines.append)
    index.calibrate()
    assert lines == []
    index.model.metadata["classes"] = ["w0", "w5", "another"]
    index.calibrate()
    assert len(lines) == 1
    assert "warning: 2 of the 6 works have names of works that the model was trained on" in lines[0]


def test_another_model_is_refused(index_path, library, other_model_file, model_file, tmp_path):
    shutil.copy(model_file, tmp_path / "moved.h5")
    assert Index.open(index_path, tmp_path / "moved.h5").identify(library / "w0" / "p0.wav").works
    with pytest.raises(MulkinetError, match="found another"):
        Index.open(index_path, other_model_file).identify(library / "w0" / "p0.wav")
    with pytest.raises(MulkinetError, match="found another"):
        build(index_path, library, other_model_file)
    with pytest.raises(MulkinetError, match="found another"):
        add(Index.open(index_path, other_model_file), library)


def test_the_fingerprint_is_the_networks_and_not_the_files(model_file, other_model_file):
    model = load_model(model_file)
    same = load_model(model_file)
    same.metadata["training"] = {"epoch": 3}
    assert fingerprint(model) == fingerprint(same)
    assert fingerprint(model) != fingerprint(load_model(other_model_file))
    same.metadata["feature_settings"] = {**model.metadata["feature_settings"], "hop_length": 1024}
    assert fingerprint(model) != fingerprint(same)


def test_an_index_of_other_tracks_is_not_overwritten(index_path, model_file, tmp_path):
    with pytest.raises(MulkinetError, match="with 12 other tracks"):
        build(index_path, make_library(tmp_path / "x", [1], [5]), model_file)
    assert len(Index.open(index_path)) == 12


def test_settings_that_audio_is_not_extracted_with_are_refused(model_file, library, tmp_path):
    from mulkinet import save_model

    model = load_model(model_file)
    model.metadata["feature_settings"]["hop_length"] = 1024
    save_model(model, tmp_path / "hop.h5")
    with pytest.raises(MulkinetError, match="hop_length 512 instead of 1024"):
        build(tmp_path / "x.index", library, tmp_path / "hop.h5")
    model.metadata["feature"] = "npy"
    save_model(model, tmp_path / "npy.h5")
    with pytest.raises(MulkinetError, match="index a feature store instead"):
        build(tmp_path / "x.index", library, tmp_path / "npy.h5")
    model.metadata.clear()
    save_model(model, tmp_path / "bare.h5")
    with pytest.raises(MulkinetError, match="which feature it was trained on"):
        build(tmp_path / "x.index", library, tmp_path / "bare.h5")


def damage(path, how):
    content = bytearray(path.read_bytes())
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "one bit":
        with h5py.File(path, "r") as file:
            position = file["embedding"].id.get_offset()
        content[position + 5] ^= 1
        path.write_bytes(content)
    else:
        with h5py.File(path, "r+") as file:
            if how == "no titles":
                del file["title"]
            elif how == "newer":
                file.attrs["version"] = 99
            else:
                file.attrs["config"] = "{}"


@pytest.mark.parametrize(
    ("how", "match"),
    [
        ("truncated", "truncated or no HDF5"),
        ("empty", "truncated or no HDF5"),
        ("one bit", "not what was written"),
        ("no titles", "damaged"),
        ("no config", "lacks model_file"),
        ("newer", "upgrade mulkinet"),
    ],
)
def test_a_corrupt_index_is_refused(index_path, how, match):
    damage(index_path, how)
    with pytest.raises(MulkinetError, match=match):
        Index.open(index_path)


def test_what_is_no_index_is_refused(tmp_path, model_file):
    for path in (tmp_path, tmp_path / "absent", model_file):
        with pytest.raises(MulkinetError, match="expected an index"):
            Index.open(path)


def test_tracks_that_cannot_be_used_are_skipped(tmp_path, model_file):
    folder = make_library(tmp_path / "library", [0, 1], [0])
    (folder / "w0" / "broken.wav").write_bytes(b"RIFF")
    os.mkfifo(folder / "w0" / "pipe.wav")
    (folder / "w0" / "link.wav").symlink_to("nowhere.wav")
    index = build(tmp_path / "x.index", folder, model_file)
    assert len(index) == 2
    reasons = {os.path.basename(path): reason for path, reason in index.changes.skipped}
    assert reasons.keys() == {"broken.wav", "pipe.wav", "link.wav"}
    assert reasons["pipe.wav"] == "expected a file of audio, found a pipe, folder or device"
    assert reasons["link.wav"] == "cannot read it: No such file or directory"
    (tmp_path / "none" / "w").mkdir(parents=True)
    (tmp_path / "none" / "w" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(MulkinetError, match="found none, 1 skipped"):
        build(tmp_path / "none.index", tmp_path / "none", model_file)
    assert not (tmp_path / "none.index").exists()


def test_silence_around_a_recording_and_its_tuning_change_nothing(opened, library):
    y = decode(library / "w3" / "p1.wav").y
    silence = np.zeros(40 * 44100, np.float32)
    off = soxr.resample(y, 44100, 44100 / 2 ** (45 / 1200))
    for other in (np.concatenate([silence, y, silence]), off):
        found = opened.identify(other)
        assert found.works[0].work_id == "w3"
        assert found.works[0].distance < 0.15  # as for any excerpt, see chord_network.py


def test_an_index_that_is_older_hears_as_it_did(index_path, model_file):
    data = read_index(index_path)
    config = {k: v for k, v in data.config.items() if k not in ("is_tuned", "is_trimmed")}
    write_index(index_path, replace(data, config=config))
    old, new = Index.open(index_path), Embedder(load_model(model_file))
    assert not old.embedder.is_tuned
    assert not old.embedder.is_trimmed
    assert old.info()["is_tuned"] is False
    y = np.concatenate([np.zeros(44100), play(1, 0, 4)]).astype(np.float32)
    np.testing.assert_array_equal(old.embedder.from_samples(y).x, new.from_samples(y).x)


def test_a_truncated_recording_is_taken_only_when_asked_for_and_told(opened, index_path, tmp_path):
    path = tmp_path / "more" / "cut.wav"
    path.parent.mkdir()
    soundfile.write(path, play(2, 1, 8), 44100)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "header promises" in opened.identify([path], n_workers=1)[0].skipped
    answer = opened.identify(path, accept_partial=True)
    assert answer.works[0].work_id == "w2"
    assert "header promises" in answer.warnings[0]
    index = Index.open(index_path)
    with pytest.raises(MulkinetError, match="header promises"):
        index.add(path.parent, n_workers=1, progress=False)
    changes = index.add(path.parent, accept_partial=True, n_workers=1, progress=False)
    assert changes.added == 1
    assert [note[:11] for _, note in changes.notes] == ["a truncated"]


def test_a_part_of_a_file_is_heard(opened, tmp_path):
    path = tmp_path / "two.wav"
    soundfile.write(path, np.concatenate([play(1, 3, 6), play(3, 3, 8)]), 44100, subtype="FLOAT")
    first, second, late = (
        opened.identify([path], start_sec=start, duration_sec=seconds, n_workers=1)[0]
        for start, seconds in ((0, 6), (6, None), (20, None))
    )
    assert (first.works[0].work_id, second.works[0].work_id) == ("w1", "w3")
    assert (first.seconds, second.seconds) == pytest.approx((6, 8), abs=0.1)
    assert late.skipped == "expected more than 20 s of audio, found 14.0 s"
    with pytest.raises(MulkinetError, match="duration_sec above 0"):
        opened.identify(path, duration_sec=0)


def test_a_table_of_files_is_indexed(library, model_file, tmp_path):
    (tmp_path / "library.csv").write_text(
        f"path,work,title\n{library}/w0/p0.wav,Help,Help!\n{library}/w1/p0.wav,Girl,\n"
    )
    index = build(tmp_path / "x.index", tmp_path / "library.csv", model_file)
    [match, *_] = index.identify(play(0, 5, 4)).works
    assert (match.work_id, match.title) == ("Help", "Help!")

"""Which files of a folder are tracks, and what is said of the others."""

import os
import unicodedata

import pytest

from mulkinet.cli.index import main
from mulkinet.errors import MulkinetError
from mulkinet.sources.layout import LAYOUTS, describe_passed_over, find_library, find_tracks


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def keys(tracks):
    return [(track.work_id, track.track_id) for track in tracks]


def test_tracks_come_in_natural_order_and_other_files_are_passed_over(tmp_path):
    touch(tmp_path, "w10/b.MP3", "w9/t10.wav", "w9/t9.flac", "w9/cover.jpg", "w9/.hidden.wav")
    touch(tmp_path, "readme.txt", ".trash/x.wav", "w9/scans/page.png", "a b é/n.1.ogg")
    tracks, skipped = find_tracks(tmp_path)
    assert keys(tracks) == [("a b é", "n.1"), ("w9", "t9"), ("w9", "t10"), ("w10", "b")]
    assert tracks[0].path == tmp_path / "a b é" / "n.1.ogg"
    assert skipped == []


def test_an_empty_work_and_a_second_track_of_a_name_are_skipped(tmp_path):
    touch(tmp_path, "full/a.wav", "full/a.mp3", "full/a.flac", "none/notes.txt")
    tracks, skipped = find_tracks(tmp_path)
    assert [track.path.name for track in tracks] == ["a.flac"]
    assert [path.name for path, _ in skipped] == ["a.mp3", "a.wav", "none"]
    assert "found a.flac before" in skipped[0][1]
    assert "found none" in skipped[2][1]


def test_names_that_cannot_be_ids_are_skipped(tmp_path):
    touch(tmp_path, "w/tab\there.wav", "w/line\nend.wav", f"w/{'x' * 240}.wav", "w/good.wav")
    touch(tmp_path, os.fsdecode(b"w/\xff.wav"))
    tracks, skipped = find_tracks(tmp_path)
    assert keys(tracks) == [("w", "good")]
    assert len(skipped) == 4


def test_the_output_folder_is_no_work(tmp_path):
    touch(tmp_path, "w/a.wav", "datasets/x.h5")
    tracks, skipped = find_tracks(tmp_path, leave_out=[tmp_path / "datasets"])
    assert keys(tracks) == [("w", "a")]
    assert skipped == []


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.wav", "b.mp3"], r"2 audio files directly in it \(a.wav, b.mp3\); put each work's"),
        (["w/cd1/a.wav", "w/b.wav"], r"1 audio file deeper down \(w/cd1/a.wav\); move them up"),
        (["notes.txt"], "found neither audio nor a folder"),
    ],
)
def test_nesting_is_explained(tmp_path, names, message):
    touch(tmp_path, *names)
    with pytest.raises(MulkinetError, match=message):
        find_tracks(tmp_path)


def test_a_missing_folder_and_a_file(tmp_path):
    with pytest.raises(MulkinetError, match="No such file or directory"):
        find_tracks(tmp_path / "missing")
    touch(tmp_path, "file")
    with pytest.raises(MulkinetError, match="Not a directory"):
        find_tracks(tmp_path / "file")


def test_unreadable_folders(tmp_path, monkeypatch):
    touch(tmp_path, "locked/a.wav", "open/b.wav")
    scandir = os.scandir

    def refusing(folder):
        if os.path.basename(folder) in refused:
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    refused = ["locked"]
    tracks, skipped = find_tracks(tmp_path)
    assert keys(tracks) == [("open", "b")]
    assert [path.name for path, _ in skipped] == ["locked"]
    assert "Permission denied" in skipped[0][1]
    refused = [tmp_path.name]
    with pytest.raises(MulkinetError, match="Permission denied; check the name"):
        find_tracks(tmp_path)


def test_what_is_passed_over_is_counted_by_its_ending(tmp_path):
    folder = tmp_path / "work" / "scans"
    folder.mkdir(parents=True)
    for name in ("a.PDF", "b.pdf", "../c.mkv", "../d.wave", "../notes", "../.hidden"):
        (folder / name).touch()
    assert describe_passed_over(tmp_path) == "3 files passed over: 2 .pdf, 1 without ending"
    assert describe_passed_over(folder.parent) == describe_passed_over(tmp_path)


def test_a_link_to_the_folder_itself_is_passed_over(tmp_path):
    touch(tmp_path, "w/a.wav", "v/b.wav")
    (tmp_path / "w" / "up").symlink_to(tmp_path)
    (tmp_path / "here").symlink_to(tmp_path)
    tracks, skipped = find_tracks(tmp_path)
    assert keys(tracks) == [("v", "b"), ("w", "a")]
    assert skipped == []


def test_works_that_look_alike_are_refused(tmp_path):
    touch(tmp_path, "café/a.wav", unicodedata.normalize("NFD", "café") + "/b.wav")
    with pytest.raises(MulkinetError, match="do not look alike"):
        find_tracks(tmp_path)


def test_a_tree_has_a_work_for_every_file(tmp_path):
    touch(tmp_path, "Artist/Album/1 Song.mp3", "Artist/Album/1 Song.flac", "Artist/Live/1 Song.mp3")
    touch(tmp_path, "alone.ogg", "Artist/cover.jpg")
    tracks, skipped = find_library(tmp_path, "tree")
    assert keys(tracks) == [
        ("Artist/Album/1 Song", "1 Song"),
        ("Artist/Live/1 Song", "1 Song"),
        ("alone", "alone"),
    ]
    assert [path.name for path, _ in skipped] == ["1 Song.mp3"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(MulkinetError, match="or below, found none"):
        find_library(tmp_path / "empty", "tree")


def test_a_table_says_what_is_what(tmp_path):
    (tmp_path / "library.csv").write_text(
        "work,path,title\nHelp,a/1.mp3,Help!\nHelp,b/1.mp3,\n,c.mp3,\nHelp,a/1.mp3,\nGirl,/x/g.mp3,Girl\n"
    )
    tracks, skipped = find_library(tmp_path / "library.csv")
    # A second track of a name is called by its path.
    assert keys(tracks) == [("Help", "1"), ("Help", "b/1.mp3"), ("Girl", "g")]
    assert [track.title for track in tracks] == ["Help!", "", "Girl"]
    assert tracks[0].path == tmp_path / "a" / "1.mp3"
    assert str(tracks[-1].path) == "/x/g.mp3"
    assert [reason for _, reason in skipped] == [
        "expected a path and a work, found none",
        "expected every file once, found it twice",
    ]
    for text in ("", "file,name\na,b\n"):
        (tmp_path / "bad.csv").write_text(text)
        with pytest.raises(MulkinetError, match="names the columns path, work and title"):
            find_library(tmp_path / "bad.csv")
    with pytest.raises(MulkinetError, match="expected a table"):
        find_library(tmp_path / "absent.csv")


def test_layouts_are_found_out_or_named(tmp_path):
    touch(tmp_path, "flat/a.mp3", "flat/b.mp3", "works/w/a.mp3")
    assert keys(find_library(tmp_path / "flat")[0]) == [("a", "a"), ("b", "b")]
    assert keys(find_library(tmp_path / "works")[0]) == [("w", "a")]
    with pytest.raises(MulkinetError, match="use --layout tree"):
        find_library(tmp_path / "works", "flat")
    with pytest.raises(MulkinetError, match="expected a layout of"):
        find_library(tmp_path / "works", "folders")
    [option] = [p for p in main.commands["build"].params if p.name == "layout"]
    assert tuple(option.type.choices) == LAYOUTS

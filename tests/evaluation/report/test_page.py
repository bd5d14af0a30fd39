"""The report: complete, self-contained, and shown by a browser without complaint."""

import io
import itertools
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from mulkinet.evaluation.evaluator import run_evaluation
from mulkinet.evaluation.inputs import Candidates
from mulkinet.evaluation.report import figures
from mulkinet.evaluation.report.curves import chance_curve
from mulkinet.evaluation.report.page import (
    _by_chance,
    _first_cover_drawing,
    _hardest,
    _matrix_drawing,
    write_report,
)
from mulkinet.evaluation.results import describe, write_tables
from tests.browser import Browser
from tests.commands import invoke

FIGURES = {
    "first_cover",
    "precision_recall",
    "work_size",
    "error_trade_off",
    "distances",
    "similarity_matrix",
    "embedding_map",
    "training",
}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("run")
    works = np.repeat([f"work {n}" for n in range(14)], rng.integers(1, 7, 14))
    centres = {work: rng.standard_normal(16) for work in works}
    embeddings = np.stack([centres[work] + 0.9 * rng.standard_normal(16) for work in works])
    titles = np.array([f"Canción <{n}> & \N{SNOWMAN}" for n in range(len(works))])
    candidates = Candidates(
        embeddings,
        works,
        np.array([f"t{n}" for n in range(len(works))]),
        titles=titles,
        settings={
            **{"model_file": "models/demo/best.h5", "store": "datasets/demo.h5"},
            **{"val_ls": "meta/DEMO-VAL", "feature": "hpcp", "pad": "wrap", "batchsize": 17},
        },
    )
    log = folder / "log" / "demo" / "epochs.csv"
    log.parent.mkdir(parents=True)
    log.write_text("epoch,loss,MAP\n1,2.5,0.2\n2,1.5,0.4\n3,1.2,0.35\n", encoding="utf-8")
    options = {"tau": 0.5, "ci": True, "conventions": True, "memory": 48.5, "seed": 41}
    evaluation = run_evaluation(**candidates.arguments, **options)
    model_file = folder / "models" / "demo" / "best.h5"
    return write_report(folder / "report", evaluation, candidates, model_file=model_file)


def test_figures_are_files_too(report):
    files = {path.name for path in (report.parent / "figures").iterdir()}
    assert files == {f"{name}{suffix}" for name in FIGURES for suffix in (".svg", ".png")}


def test_page_escapes_titles_and_shows_what_was_scored(report):
    page = report.read_text(encoding="utf-8")
    assert "Canción &lt;" in page
    assert "Canción <" not in page
    for text in ("MAP", "recall@10", "accuracy@tau", "CoverHunter", "models/demo/best.h5", "numpy"):
        assert text in page


def test_page_shows_every_setting(report):
    page = report.read_text(encoding="utf-8")
    settings = {
        **{"val_ls": "meta/DEMO-VAL", "feature": "hpcp", "pad": "wrap", "batchsize": 17},
        **{"distance": "cosine", "memory": 48.5, "seed": 41},
    }
    for name, value in settings.items():
        assert f'<th>{name}</th><td class="wrap">{value}</td>' in page


def test_small_thresholds_keep_their_digits(tmp_path):
    points = np.array([[0.0], [0.00002], [3.0], [4.0]])
    candidates = Candidates(points, np.array(list("aabb")), distance="euclidean")
    page = write_report(tmp_path, run_evaluation(**candidates.arguments, tau=2e-5), candidates)
    assert '<td>tau</td><td class="n">2e-05</td>' in page.read_text(encoding="utf-8")


def test_precomputed_distances_have_no_map(tmp_path):
    matrix = np.array([[0, 1, 2.0], [1, 0, 3], [2, 3, 0]])
    candidates = Candidates(matrix, np.array(["a", "a", "b"]), distance="precomputed")
    page = write_report(tmp_path, run_evaluation(**candidates.arguments), candidates)
    assert 'id="distances"' in page.read_text(encoding="utf-8")
    assert not (tmp_path / "figures" / "embedding_map.svg").exists()


def test_the_matrix_holds_one_row_at_a_time(rng):
    works = np.repeat([f"w{n}" for n in range(12)], 8)
    candidates = Candidates(rng.standard_normal((96, 5)), works)
    evaluation = run_evaluation(**candidates.arguments)
    fill, sizes = evaluation.keys.fill, []
    evaluation.keys.fill = lambda out, rows: sizes.append(len(out)) or fill(out, rows)
    _matrix_drawing(evaluation, candidates)
    assert sizes == [1] * 96


def texts(figure):
    axes = figure.axes[0]
    legend = axes.get_legend()
    return [text.get_text() for text in (legend.get_texts() if legend else axes.get_yticklabels())]


def test_names_of_works_are_drawn_as_they_are():
    names = ["$x_1^2^3$", "Ca$h_4_$ale", "_blank", "a\\$b\\$"]
    for figure, shown in (
        (figures.embedding_map(np.eye(4)[:, :2], (0.5, 0.5), names), ["other works", *names]),
        (figures.similarity_matrix(np.eye(4), names), names),
    ):
        figure.savefig(io.BytesIO(), format="svg")  # Two "$" begin a formula.
        assert texts(figure) == shown


def test_names_that_are_no_utf_8(tmp_path):
    works = np.array(["caf\udce9"] * 2 + ["b"] * 2)
    candidates = Candidates(np.eye(4), works, settings={"store": "caf\udce9.h5"})
    evaluation = run_evaluation(**candidates.arguments)
    page = write_report(tmp_path, evaluation, candidates).read_text(encoding="utf-8")
    assert "caf\\udce9.h5" in page
    write_tables(tmp_path, evaluation, candidates)
    for name in ("queries.csv", "tracks.txt"):
        assert "caf\\udce9" in (tmp_path / name).read_text(encoding="utf-8")


def test_queries_apart_from_references(tmp_path):
    points = np.arange(8.0)[:, None]
    candidates = Candidates(
        points,
        np.array(list("abababab")),
        queries=[0, 1],
        references=[2, 3, 4, 5, 6, 7],
        distance="euclidean",
    )
    page = write_report(tmp_path, run_evaluation(**candidates.arguments), candidates)
    assert "against one reference" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [1280, 390])
def test_browser_shows_every_figure_and_asks_for_nothing(report, tmp_path, width):
    executable = shutil.which("chromium")
    if not executable:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    with Browser(executable) as browser:
        browser.open(report.as_uri(), width, 900)
        shown = browser.evaluate(
            "[...document.querySelectorAll('figure')].filter(f => {"
            "const i = f.querySelector('img'); return i.complete && i.naturalWidth > 100"
            " && i.getBoundingClientRect().width > 100}).map(f => f.id)"
        )
        overflow = browser.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        browser.screenshot(tmp_path / "page.png")
    assert set(shown) == FIGURES
    assert overflow <= 0
    assert browser.messages == []
    outside = [url for url in browser.requests if not url.startswith("data:")]
    assert outside == [report.as_uri()]
    assert (tmp_path / "page.png").stat().st_size > 20_000


@pytest.mark.slow
def test_report_of_a_demo_run(tmp_path):
    """The whole road: a small demo set, a network trained on it for two epochs, its report."""
    executable = shutil.which("chromium")
    if not executable:
        pytest.skip("chromium is not installed (apt-get install chromium)")
    from mulkinet.cli.evaluate import main as evaluate
    from mulkinet.cli.train import main as train
    from mulkinet.sources.demo.demo_set import DemoSize, make_demo

    size = DemoSize(train_works=4, val_works=3, test_works=4, performances=3, noise_works=2)
    lists = tmp_path / "meta"
    demo = make_demo(tmp_path, list_dir=lists, size=size, length_sec=(20, 25), progress=False)
    data = ("--data-dir", demo.store_path, "--val-ls", lists / "DEMO-VAL", "--gpu", "-1")
    network = ("--block", "simple", "--ki-out-channel", 8, "--embedding-len", 16)
    training = ("--train-ls", lists / "DEMO-TRAIN", "--max-epoch", 2, *network)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        result = invoke(train, *data, *training)
        assert result.exit_code == 0, result.stderr
        testing = ("--test-ls", lists / "DEMO-TEST", "--ci", "--report", "report")
        result = invoke(evaluate, "--model-file", "models/test/best.h5", *data, *testing)
        assert result.exit_code == 0, result.stderr
    page = tmp_path / "report" / "index.html"
    with Browser(executable) as browser:
        browser.open(page.as_uri(), 1280, 900)
        shown = browser.evaluate(
            "[...document.images].filter(i => i.naturalWidth > 100).map(i => i.parentElement.id)"
        )
        browser.screenshot(tmp_path / "page.png")
        pdf = browser.pdf()
    assert set(shown) == FIGURES
    assert browser.messages == []
    assert [url for url in browser.requests if not url.startswith("data:")] == [page.as_uri()]
    assert (tmp_path / "page.png").stat().st_size > 20_000
    assert pdf.startswith(b"%PDF")


def test_the_page_says_what_chance_would_be_and_what_metrics_are(report):
    page = report.read_text(encoding="utf-8")
    assert "By chance: MAP" in page
    assert "What the metrics are" in page
    assert "<h1>models/demo/best.h5 on demo.h5 (hpcp)</h1>" in page
    assert page.count("<tr>", page.index('id="queries"'), page.index("// A heading sorts")) > 30


def test_scores_by_chance_are_the_mean_of_all_orders():
    # One query of 2 covers among 4 candidates, and its two covers as queries.
    candidates = Candidates(np.eye(5), np.array(["a", "a", "a", "b", "c"]))
    found = _by_chance(run_evaluation(**candidates.arguments))
    orders = [set(order) for order in itertools.combinations(range(1, 5), 2)]
    precisions = [np.mean([(i + 1) / rank for i, rank in enumerate(sorted(o))]) for o in orders]
    assert found["MAP"] == pytest.approx(np.mean(precisions))
    assert found["MR1"] == pytest.approx(np.mean([min(order) for order in orders]))
    assert found["P@1"] == pytest.approx(0.5)


def test_queries_whose_covers_all_come_first_are_not_hard(tmp_path):
    points = np.array([[0.0], [0.1], [5.0], [5.1]])
    candidates = Candidates(points, np.array(list("aabb")), distance="euclidean")
    assert _hardest(run_evaluation(**candidates.arguments), candidates) == []


def test_other_systems_are_drawn_beside_it(tmp_path, rng):
    works = np.repeat([f"w{n}" for n in range(6)], 3)
    runs = []
    for name, noise in (("a.h5", 0.5), ("b.h5", 3.0)):
        x = np.eye(6)[np.repeat(np.arange(6), 3)] + noise * rng.standard_normal((18, 6))
        candidates = Candidates(x, works, settings={"model_file": name, "feature": "crema"})
        evaluation = run_evaluation(**candidates.arguments)
        runs.append(describe(evaluation, candidates))
    drawing = _first_cover_drawing(evaluation, candidates, runs[:1])
    legend = [text.get_text() for text in drawing.figure.axes[0].get_legend().get_texts()]
    maps = [f"MAP {run['scores']['MAP']:.3f}" for run in runs]
    assert legend == [f"b.h5 (crema), {maps[1]}", f"a.h5 (crema), {maps[0]}", "by chance"]
    assert "other tracks" not in drawing.caption
    runs[0]["scores"]["references"] = 17
    drawing = _first_cover_drawing(evaluation, candidates, runs[:1])
    assert "a.h5 (crema) was evaluated on other tracks." in drawing.caption


def test_the_first_cover_by_chance():
    covers, candidates = np.array([1, 2, 3]), np.array([5, 4, 6])
    ranks, shares = chance_curve(covers, candidates)
    assert ranks.tolist() == [1, 2, 3, 4, 5, 6]
    for rank, share in zip(ranks, shares):
        found = [
            np.mean([min(places) < rank for places in itertools.combinations(range(n), c)])
            for c, n in zip(covers, candidates)
        ]
        assert share == pytest.approx(np.mean(found))


def test_recordings_are_played_where_they_are_known(tmp_path, rng):
    (tmp_path / "audio").mkdir()
    names = [f"{number} #.wav" for number in range(8)]
    for name in names[1:]:
        (tmp_path / "audio" / name).touch()
    store = SimpleNamespace(metadata={"path": np.array(names)})
    tracks = SimpleNamespace(store=store, rows=np.arange(8)[::-1])
    works = np.repeat(list("abcd"), 2)
    candidates = Candidates(rng.standard_normal((8, 3)), works, tracks=tracks)
    evaluation = run_evaluation(**candidates.arguments)
    page = write_report(tmp_path / "r", evaluation, candidates, audio_dir=tmp_path / "audio")
    text = page.read_text(encoding="utf-8")
    assert 'src="../audio/1%20%23.wav"' in text
    assert "audio/0%20" not in text
    assert "<audio" not in write_report(tmp_path / "r", evaluation, candidates).read_text("utf-8")

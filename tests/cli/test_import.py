"""`mulkinet import`: a published file becomes a model file that works, or one line says why not."""

import numpy as np
import pytest
from click.testing import CliRunner

from mulkinet import build_model, load_model
from mulkinet.cli.import_ import main
from tests.published_files import state_dict_of, write_pt


@pytest.fixture
def runner():
    return CliRunner()


@pytest.mark.parametrize(
    ("file", "network", "needs"),
    [
        ("model_move_emb64.pt", "move", "crema (n_bins 12, bin0 C, sr 44100, hop_length 512, downsample 8"),
        ("siamese-250.hdf5", "siamese", "spect_len 250, n_frames 250"),
        ("mulkinet/simple-1.h5", "mulkinet", "hpcp (n_bins 12, bin0 A"),
    ],
)  # fmt: skip
def test_published_files_become_model_files(runner, shared, tmp_path, file, network, needs):
    output = tmp_path / "models" / "imported.h5"
    source = shared / "reference" / "golden" / file
    result = runner.invoke(main, [str(source), "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{network}, ")
    assert needs in result.output
    assert load_model(output).network == network


def test_options_for_what_shapes_do_not_tell(runner, tmp_path, rng):
    options = {"sum_method": "mean", "invariance": False, "n_filters": 2, "embedding_len": 3}
    model = build_model("move", **options)
    source, output = tmp_path / "weights.pt", tmp_path / "model.h5"
    write_pt(source, state_dict_of(model))
    result = runner.invoke(main, [str(source), "-o", str(output)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert "sum_method: the weights' shapes leave several" in result.output
    arguments = [str(source), "-o", str(output), "--sum-method", "mean", "--no-invariance"]
    assert runner.invoke(main, arguments).exit_code == 0
    x = rng.random((1, 12, 330), np.float32)
    np.testing.assert_array_equal(load_model(output).embed_batch(x), model.embed_batch(x))


def test_nothing_is_written_when_the_file_does_not_fit(runner, tmp_path):
    source, output = tmp_path / "weights.pt", tmp_path / "model.h5"
    source.write_text("no weights")
    result = runner.invoke(main, [str(source), "-o", str(output)])
    assert result.exit_code == 1
    assert result.output.startswith("Error: expected PyTorch's .pt")
    assert list(tmp_path.iterdir()) == [source]
    assert runner.invoke(main, [str(source)]).exit_code == 2
    for folder in (".", str(tmp_path)):
        result = runner.invoke(main, [str(source), "-o", folder])
        assert result.exit_code == 2
        assert "is a directory" in result.output

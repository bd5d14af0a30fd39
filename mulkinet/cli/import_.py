"""`mulkinet import`: published weights to a model file."""

import click

from mulkinet.cli.errors import Command
from mulkinet.cli.printing import echo

__all__ = ["main"]


@click.command(cls=Command, name="import")
@click.argument("file", type=click.Path())
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False), help="Model file to make."
)
@click.option(
    "--sum-method",
    help="MOVE: max, mean, autopool, attention or adaptive-attention.  [by the weights' shapes]",
)
@click.option(
    "--final-activation",
    help="MOVE: none, sigmoid, tanh or batch-norm.  [batch-norm where the weights have one]",
)
@click.option("--no-invariance", is_flag=True, help="MOVE: weights of the ablation.")
def main(file, output, sum_method, final_activation, no_invariance):
    """Convert published weights to a model file.

    FILE is the .pt or .pth of MOVE, re-MOVE, CQTNet or Discogs-VINet, MulKINet's .h5, or the Siamese release's .hdf5.

    Nothing in FILE is executed. The model file says which features the network needs, and
    evaluate.py refuses others.
    """
    from mulkinet.models.model_file import save_model
    from mulkinet.models.published import import_weights

    options = {"sum_method": sum_method, "final_activation": final_activation}
    options = {name: value for name, value in options.items() if value is not None}
    if no_invariance:
        options["invariance"] = False
    model = import_weights(file, **options)
    save_model(model, output)
    echo(
        f"{model.network}, {model.count_params()} parameters, embedding of {model.embedding_len} "
        f"-> {output}"
    )
    click.echo(f"It needs {_needs(model.metadata)}.")


def _needs(metadata):
    settings = {**metadata["feature_settings"], "n_frames": metadata["n_frames"] or "all"}
    named = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"{metadata['feature']} ({named})"

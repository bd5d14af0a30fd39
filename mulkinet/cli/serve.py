"""`mulkinet serve`: an index as a local web application."""

import click

from mulkinet.cli.errors import Command

__all__ = ["main"]

_FILE = click.Path(dir_okay=False)
_POSITIVE = click.FloatRange(0, min_open=True)


@click.command(cls=Command)
@click.option("--index", "path", required=True, type=_FILE, help="The index.")
@click.option("--host", default="127.0.0.1", help="Address to listen at; 0.0.0.0 for the network.")
@click.option("--port", default=8000, type=click.IntRange(0, 65535), help="Port; 0 for any.")
@click.option("--show-paths", is_flag=True, help="Tell the paths of the collection's files.")
@click.option("--max-mb", default=100.0, type=_POSITIVE, help="Largest upload in MB.")
@click.option("--max-sec", default=900.0, type=_POSITIVE, help="Longest sound in seconds.")
@click.option("--decode-sec", default=30.0, type=_POSITIVE, help="Time limit of decoding one.")
@click.option(
    "--queue", default=16, type=click.IntRange(1), help="Requests that may wait; 503 beyond."
)
@click.option("--model-file", type=_FILE, help="The index's model, if it has moved.")
def main(path, host, port, show_paths, model_file, **limits):
    """Serve an index as a web application on this machine.

    Open the address that is printed in a browser. Programs use POST /identify, POST /match, GET /works and GET
    /health, as /openapi.json describes. Ctrl-C stops it, after the requests that are under way. There is no log-in:
    with --host, whoever reaches the port can use it and hear the collection.
    """
    from mulkinet.errors import import_extra

    for module in ("fastapi", "uvicorn", "python_multipart"):
        import_extra(module, "serve")
    from mulkinet.identify.index import Index
    from mulkinet.serve.app import Limits
    from mulkinet.serve.server import serve

    index = Index.open(path, model_file, report=lambda line: click.echo(line, err=True))
    serve(
        index,
        host=host,
        port=port,
        limits=Limits(**limits),
        show_paths=show_paths,
        report=lambda address: click.echo(
            f"serving {len(index)} tracks at {address} (Ctrl-C stops)"
        ),
    )

"""The commands: they parse, call and print. Public names: none; see `mulkinet.cli.main`."""

"""`python -m mulkinet`: the `mulkinet` command."""

from mulkinet.cli.main import main

if __name__ == "__main__":
    main()

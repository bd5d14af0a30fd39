"""A feature store to a model file: the door onto `mulkinet train`."""

from mulkinet.cli.train import main

if __name__ == "__main__":
    main()

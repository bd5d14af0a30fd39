"""A model file and a feature store to ranking scores: the door onto `mulkinet evaluate`."""

from mulkinet.cli.evaluate import main

if __name__ == "__main__":
    main()

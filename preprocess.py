"""Audio and public data sets to a feature store: the door onto `mulkinet preprocess`."""

from mulkinet.cli.preprocess import main

if __name__ == "__main__":
    main()

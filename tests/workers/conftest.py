"""A library of chords and its index, as identify's tests have them."""

from tests.identify.conftest import built, library, model_file

__all__ = ["built", "library", "model_file"]

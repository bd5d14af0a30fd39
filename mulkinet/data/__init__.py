"""Data sets: the feature store and its writer, lists of tracks, a folder of `.npy` files, and checks of them all."""

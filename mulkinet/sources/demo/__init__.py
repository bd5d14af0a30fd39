"""Synthetic covers: works that are composed, performed and rendered to sound, and the data set made of them."""

"""Tests of `mulkinet.features`."""

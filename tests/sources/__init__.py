"""Tests of `mulkinet.sources`."""

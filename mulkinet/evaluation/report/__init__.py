"""A page about an evaluation: curves, figures and their template."""

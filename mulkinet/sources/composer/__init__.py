"""Songs that nobody owns: harmony and melody drawn from models of real lead sheets, each song from a seed."""

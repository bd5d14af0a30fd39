"""Charts, a song's chords and melody in beats: their file (chart), and what is made of them."""

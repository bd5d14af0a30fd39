"""Which song is this? An index of a collection, and recordings identified by it.

    embedder     from recordings to the embeddings of the index's model
    collection   the tracks of a folder of audio or of a store, known again by their content
    index_file   the index: one HDF5 file, its lock, the fingerprint of its model
    updating     a collection's embeddings into an index
    search       nearest tracks: FAISS or the evaluator's exact distances
    cells        the approximate search of large indexes, with its measured recall
    calibration  a threshold, and likelihood ratios of distances
    posterior    probabilities of works and of none, and the rule of a yes
    domain       what the model was trained on and calibrated on
    segments     windows of long recordings, and the spans their answers agree on
    setlist      what is played when in long recordings: windows, alignment, and one path over time
    decoding     that path
    labels       set lists as Audacity labels and cue sheets
    answers      what a query is answered with

The door to all of it is `mulkinet.Index`, in `mulkinet/identify/index.py`.
"""

__all__ = []

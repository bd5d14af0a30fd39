"""Training: from a store and a recipe to a model file.

    recipes      the options of a run: given, or of the published training of a system
    data         tracks to train on, to validate on, and their fingerprint
    pipeline     crops of them, augmented, as tf.data (augment)
    trainer      the loop: epochs, validation, checkpoints, resuming
    run          one training from start to end, in a folder of its own

Which tracks make up a batch and what it costs is the loss's affair: its objective, in
`mulkinet.losses`. Beside them: optimizers, averaging, schedules, devices, interrupts, run_record (run.yaml), log.
"""

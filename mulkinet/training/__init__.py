"""Training: from a store and a recipe to a model file.

    recipes      the published training of each system: the options' defaults
    data         tracks to train on, to validate on, and their fingerprint
    samplers     which tracks make up a batch
    pipeline     crops of them, augmented, as tf.data (augment)
    objectives   what a batch costs
    trainer      the loop: epochs, validation, checkpoints, resuming
    run          one training from start to end, in a folder of its own

Beside them: optimizers, schedules, devices, log.
"""

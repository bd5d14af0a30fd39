"""Initial weights are drawn by Keras's own generators: seeded before every module's fixtures and every test."""

import pytest
import tensorflow as tf

SEED = 20200301


@pytest.fixture(autouse=True, scope="module")
def _seeded_module():
    tf.keras.utils.set_random_seed(SEED)


@pytest.fixture(autouse=True)
def _seeded_test(_seeded_module):
    tf.keras.utils.set_random_seed(SEED)

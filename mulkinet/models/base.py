"""What every network is to the rest of the package: a Keras model from features to embeddings.

Conventions: input (batch, n_bins, n_frames) float32, output (batch, embedding_len) float32. A network is built from
its options alone; `get_config` returns them and `from_config` takes them back.

Public names: `EmbeddingNetwork`, `check_choice`, `check_positive`, `check_flag`.
"""

import contextlib
import inspect
import numbers

import numpy as np
import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.models.layers import KeyInvariantConv2D, SeededDropout

__all__ = ["EmbeddingNetwork", "check_choice", "check_flag", "check_positive"]

# Values that go into and come out of the largest convolution at once in inference, about; Fourier forms hold several
# times as many. With more on a CPU, maps leave the processor's cache between two layers, and those of 32 MB are memory
# that glibc asks the system for anew each time, which clears it page by page. A GPU was not measured.
VALUES_AT_ONCE = 3_000_000
VALUES_AT_ONCE_ON_GPU = 24_000_000


class EmbeddingNetwork(tf.keras.Model):
    """A network that maps pitch features to embeddings; base of all networks of `mulkinet.models`.

    Initial weights come from Keras's own generator: `tf.keras.utils.set_random_seed` before building fixes them.

    Attributes:
        network: Name in the registry, set by `register_network`.
        recipes: dict of name to the options of a published training; the first is used where none is named. Literals,
            since they are read from the source.
        distance: How its embeddings are compared: "cosine", "sqeuclidean" (divided by the embedding's size),
            "euclidean" or "weighted_l1".
        options: What it was built with; plain and JSON-able.
        n_bins: Rows of its input.
        n_frames: Frames of its input; None where any length goes.
        min_frames: The shortest input it can take.
        metadata: What belongs to the trained model and not to the network: feature, feature_settings, n_frames, pad,
            classes, training. Plain and JSON-able; empty on a new network.
    """

    # Attributes named on the class are left alone by Keras, which would wrap plain dicts.
    network = None
    recipes = {}  # noqa: RUF012
    distance = None
    options = None
    n_bins = None
    n_frames = None
    min_frames = 1
    metadata = None
    classifier_dropout = 0.0
    classifier_bias = False
    kernel_l2 = 0.0
    _embed_batch = None
    _transform_kernels = None

    def __init__(self, inputs, outputs, *, options, n_frames=None, min_frames=1):
        super().__init__(inputs=inputs, outputs=outputs, name=self.network)
        self.options = dict(options)
        self.n_bins = inputs.shape[1]
        self.n_frames = n_frames
        self.min_frames = min_frames
        self.metadata = {}

    @property
    def padded_frames(self):
        """Frames that shorter tracks are filled up to."""
        return self.min_frames

    @property
    def embedding_len(self):
        """Size of an embedding."""
        return self.output_shape[-1]

    @property
    def distance_weights(self):
        """((embedding_len,) kernel, bias) of a trained distance; None where `distance` has none."""
        return None

    @property
    def input_spec(self):
        """None: `check_input` says what is wrong in words a user understands."""
        return None

    def __call__(self, inputs, *args, **kwargs):
        # Here and not in `call`, where Keras would wrap the message in lines of its own.
        self.check_input(inputs.shape)
        return super().__call__(inputs, *args, **kwargs)

    def summary(self, line_length=120, positions=(0.52, 0.73, 0.82, 1.0), **kwargs):
        """Prints the layers; columns wide enough for their names."""
        super().summary(line_length=line_length, positions=list(positions), **kwargs)

    def check_input(self, shape):
        """Raises MulkinetError when features of `shape` (batch, n_bins, n_frames) do not fit; None is not checked."""
        if len(shape) != 3 or shape[1] not in (None, self.n_bins):
            raise MulkinetError(
                f"{self.network} expects features of shape (batch, {self.n_bins} bins, frames), "
                f"found {tuple(shape)}; use a feature with {self.n_bins} bins"
            )
        if shape[2] is None:
            return
        if self.n_frames is not None and shape[2] != self.n_frames:
            raise MulkinetError(
                f"this {self.network} expects {self.n_frames} frames, found {shape[2]}; "
                "crop or pad the features, as mulkinet.embed does"
            )
        if shape[2] < self.min_frames:
            raise MulkinetError(
                f"this {self.network} expects at least {self.min_frames} frames, found {shape[2]}; "
                "name a longer crop (--n-frames), or pad the features, as mulkinet.embed does"
            )

    def embed_batch(self, x, kernels=None):
        """Embeddings in inference mode, compiled once for every number of tracks and frames.

        Args:
            x: (batch, n_bins, n_frames) float32.
            kernels: What `transformed_kernels` gave with the present weights, to save making it for every batch.

        Returns:
            (batch, embedding_len) float32 array.
        """
        self.check_input(x.shape)
        kernels = self.transformed_kernels() if kernels is None else kernels
        on_gpu = tf.config.get_visible_devices("GPU")
        n_values = len(x) * x.shape[2] * self._largest_maps()
        n_parts = -(-n_values // (VALUES_AT_ONCE_ON_GPU if on_gpu else VALUES_AT_ONCE))
        parts = [
            self._embed_batch(tf.constant(part, tf.float32), *kernels)
            for part in np.array_split(x, min(len(x), n_parts))
        ]
        return np.concatenate(parts)

    def _largest_maps(self):
        """Values per frame of the largest convolution's input and, pooling and strides aside, output."""
        layers = [layer for layer in self.layers if isinstance(layer, tf.keras.layers.Conv2D)]
        sizes = [layer.input_shape[1] * sum(layer.kernel.shape[2:]) for layer in layers]
        return max(sizes, default=self.n_bins)

    def transformed_kernels(self):
        """List of tensors: what inference needs of the key-invariant convolutions' kernels, for the weights now."""
        if self._embed_batch is None:
            self._compile()
        return self._transform_kernels()

    def _compile(self):
        layers = [layer for layer in self.layers if isinstance(layer, KeyInvariantConv2D)]

        def transform():
            return [layer.transformed_kernel() for layer in layers]

        def embed(batch, *kernels):
            with contextlib.ExitStack() as stack:
                for layer, kernel in zip(layers, kernels):
                    stack.enter_context(layer.using(kernel))
                return self(batch, training=False)

        self._transform_kernels = tf.function(transform).get_concrete_function()
        self._embed_batch = tf.function(embed).get_concrete_function(
            tf.TensorSpec((None, self.n_bins, self.n_frames), tf.float32),
            *self._transform_kernels.structured_outputs,
        )

    def classifier(self, n_classes, seed=0):
        """The network with a softmax layer over works in the place of the embedding's normalisation.

        The trunk is shared: training the classifier trains this network.

        Args:
            n_classes: Number of works.
            seed: For the layer's initial weights and its dropout.

        Returns:
            tf.keras.Model: (batch, n_bins, n_frames) -> logits (batch, n_classes). Its `dropout`
            attribute is the dropout layer, which has `reseed(seed)`.
        """
        check_positive("n_classes", n_classes)
        dropout = SeededDropout(self.classifier_dropout, seed=seed, name="Dropout")
        # Logits stay float32 under mixed precision: a softmax over thousands of works needs the range.
        dense = tf.keras.layers.Dense(
            n_classes,
            use_bias=self.classifier_bias,
            dtype="float32",
            kernel_initializer=tf.keras.initializers.GlorotUniform(seed),
            kernel_regularizer=tf.keras.regularizers.L2(self.kernel_l2) if self.kernel_l2 else None,
            name="Classification",
        )
        logits = dense(dropout(self.head_output()))
        model = tf.keras.Model(self.input, logits, name=f"{self.network}_classifier")
        model.dropout = dropout
        return model

    def head_output(self):
        """The symbolic tensor (batch, embedding_len) that the classifier stands on; the embedding unless overridden."""
        return self.output

    def get_config(self):
        return dict(self.options)

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)

    @classmethod
    def defaults(cls):
        """{option: default} of this network, in the order of its documentation."""
        parameters = inspect.signature(cls.__init__).parameters
        return {name: p.default for name, p in parameters.items() if name != "self"}


def check_choice(option, value, allowed):
    """Raises MulkinetError naming the allowed values when `value` is none of them."""
    if value not in allowed:
        names = ", ".join(map(str, allowed))
        raise MulkinetError(f"{option}: expected one of {names}; found {value!r}")


def check_positive(option, value, least=1):
    """Raises MulkinetError when `value` is not a whole number (numpy's included) of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise MulkinetError(
            f"{option}: expected a whole number of at least {least}; found {value!r}"
        )


def check_flag(option, value):
    """Raises MulkinetError when `value` is not true or false."""
    if not isinstance(value, bool):
        raise MulkinetError(f"{option}: expected true or false; found {value!r}")

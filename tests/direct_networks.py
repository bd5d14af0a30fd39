"""The networks as they were published: all 23 rows written out, plain convolutions, plain statistics.

The slow truth that the package's networks are compared with, in tests and in `benchmarks/models.py`. Nothing of
`mulkinet.models.layers` is used; layers and weights have the same names, so that weights are copied by name.

Conventions: input (batch, 12, n_frames); output (batch, embedding_len).

Public names: `direct_network`, `direct_classifier`, `copy_weights`.
"""

import tensorflow as tf

from mulkinet.models.model_file import named_weights

keras = tf.keras
L2 = 1e-4


def direct_network(network):
    """The published form of one of the package's networks.

    Args:
        network: MulKINet, MOVE with its paper's options, Siamese, or CQTNet without division.

    Returns:
        tf.keras.Model: with the weights of `network`.
    """
    inputs = keras.Input((network.n_bins, network.n_frames))
    if network.network == "cqtnet":
        model = keras.Model(inputs, _cqtnet(inputs[..., None], network.options))
        copy_weights(network, model)
        return model
    build = {"mulkinet": _mulkinet, "move": _move, "siamese": _siamese}[network.network]
    rows = keras.layers.Lambda(lambda x: tf.concat([x, x[:, :11]], 1)[..., None])(inputs)
    model = keras.Model(inputs, build(rows, network.options))
    copy_weights(network, model)
    return model


def _cqtnet(x, options):
    """Convolutions, norms and maxima one by one, as in its table."""
    kernels = [(12, 3), (13, 3), (13, 3)] + 7 * [(3, 3)]
    times = (1, 2, 2, 2, 4, 4, 8, 8, 16, 16)
    x = keras.layers.ZeroPadding2D((6, 0))(x)
    for i, kernel in enumerate(kernels):
        x = keras.layers.Conv2D(
            options["width"] * times[i],
            kernel,
            dilation_rate=(1, 1 + i % 2),
            use_bias=False,
            name=f"conv{i}",
        )(x)
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"norm{i}")(x)
        x = keras.layers.ReLU()(x)
        if i in (1, 3, 5, 7):
            x = keras.layers.ZeroPadding2D((0, 1))(x)
            x = keras.layers.MaxPooling2D((1, 2))(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.Dense(options["embedding_len"], use_bias=options["bias"], name="projection")(x)
    return tf.math.l2_normalize(x, axis=1) if options["normalized"] else x


def direct_classifier(network, classifier):
    """The published form of `network.classifier(...)`, without dropout, with the weights of `classifier`."""
    trunk = direct_network(network)
    logits = keras.layers.Dense(
        classifier.output_shape[-1],
        use_bias=False,
        kernel_regularizer=keras.regularizers.L2(L2),
        name="Classification",
    )(trunk.get_layer("Embedding_LeakyReLU").output)
    model = keras.Model(trunk.input, logits)
    copy_weights(classifier, model)
    return model


def copy_weights(source, target):
    """Sets the weights of one model to those of the same names in another."""
    values = named_weights(source)
    for name, variable in named_weights(target).items():
        variable.assign(tf.cast(values[name], variable.dtype))


class _Perceptron(keras.layers.Layer):
    """size -> size // 4 -> size, the same for the mean and the maximum; a gate in (0, 1)."""

    def build(self, shapes):
        size = shapes[0][-1]
        regularizer = keras.regularizers.L2(L2)
        self.layer1 = self.add_weight("layer1", (size, size // 4), regularizer=regularizer)
        self.layer2 = self.add_weight("layer2", (size // 4, size), regularizer=regularizer)

    def call(self, pooled):
        hidden = [tf.nn.leaky_relu(x @ self.layer1, 0.3) for x in pooled]
        return tf.sigmoid(hidden[0] @ self.layer2 + hidden[1] @ self.layer2)


def _gated(x, axis, name):
    others = [1, 5 - axis]
    pooled = [tf.reduce_mean(x, others), tf.reduce_max(x, others)]
    shape = (1, 1, x.shape[3]) if axis == 3 else (1, x.shape[2], 1)
    return x * keras.layers.Reshape(shape)(_Perceptron(name=name)(pooled))


def _unit(x, name, filters, kernel, options, attention=True, dilation=1):
    x = keras.layers.Conv2D(
        filters,
        kernel,
        dilation_rate=(1, dilation),
        use_bias=False,
        kernel_regularizer=keras.regularizers.L2(L2),
        name=f"{name}_Conv",
    )(x)
    x = keras.layers.BatchNormalization(name=f"{name}_BN")(x)
    if attention and options["chnlatt"]:
        x = _gated(x, 3, f"{name}_ChnlAtt")
    if attention and options["tempatt"]:
        x = _gated(x, 2, f"{name}_TempAtt")
    return keras.layers.LeakyReLU(0.3)(x)


def _mulkinet(x, options):
    wide = options["ki_out_channel"]
    narrow = wide // options["bn_ratio"]
    stages, field = options["ki_block_num"], options["time_field"]
    for stage in range(stages):
        extra = 1 if stage else 0
        kernel = (12 // stages + extra, field // stages + extra)
        if options["block"] == "bottleneck" and stage:
            name = f"KI_Bottleneck{stage}"
            x = _unit(x, f"{name}_0", narrow, 1, options, attention=False)
            x = _unit(x, f"{name}_1", narrow, kernel, options)
            x = _unit(x, f"{name}_2", wide, 1, options, attention=False)
        elif options["block"] == "wider" and stage < stages - 1:
            name = f"KI_Wider_Bottleneck{stage}"
            x = _unit(x, f"{name}_0", wide, kernel, options)
            x = _unit(x, f"{name}_1", narrow, 1, options, attention=False)
        else:
            x = _unit(x, f"KI_{stage}", wide, kernel, options)
    x = keras.layers.MaxPooling2D((12, 1))(x)
    for i in range(2):
        x = _unit(x, f"Temporal_{i}", wide, (1, 10), options, dilation=3)
        x = keras.layers.MaxPooling2D((1, 3), strides=(1, 2))(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    regularizer = keras.regularizers.L2(L2)
    x = keras.layers.Dense(
        options["embedding_len"], use_bias=False, kernel_regularizer=regularizer, name="Embedding"
    )(x)
    x = keras.layers.BatchNormalization(name="Embedding_BN")(x)
    x = keras.layers.LeakyReLU(0.3, name="Embedding_LeakyReLU")(x)
    return tf.math.l2_normalize(x, -1)


def _prelu(name):
    return keras.layers.PReLU(shared_axes=[1, 2, 3], name=name)


def _move(x, options):
    filters = options["n_filters"]
    x = _prelu("prelu1")(keras.layers.Conv2D(filters, (12, 180), name="conv1")(x))
    x = keras.layers.MaxPooling2D((12, 1))(x)
    for i, (size, dilation) in enumerate([(1, 1), (1, 20), (1, 1), (2, 13)], start=2):
        x = keras.layers.Conv2D(
            size * filters, (1, 5), dilation_rate=(1, dilation), name=f"conv{i}"
        )(x)
        x = _prelu(f"prelu{i}")(x)
    x = _Autopool(name="summary")(x)
    x = keras.layers.Dense(options["embedding_len"], use_bias=False, name="lin1")(x)
    x = keras.layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, center=False, scale=False, name="lin_bn"
    )(x[:, None, None])
    return x[:, 0, 0]


class _Autopool(keras.layers.Layer):
    """Multi-channel adaptive attention: the last half of the channels weighted by the first half's softmax."""

    def build(self, _):
        self.autopool_p = self.add_weight("autopool_p", (), initializer="zeros")

    def call(self, x):
        weights, values = tf.split(x[:, 0], 2, axis=-1)
        return tf.reduce_sum(tf.nn.softmax(self.autopool_p * weights, axis=1) * values, axis=1)


def _siamese(x, options):
    x = keras.layers.Conv2D(32, (12, 50), activation="relu", name="conv0")(x)
    x = keras.layers.MaxPooling2D((12, 1))(x)
    x = keras.layers.BatchNormalization(name="bn0")(x)
    for i, dilation in enumerate([20, 13, 7], start=1):
        x = keras.layers.Conv2D(32, (1, 5), name=f"conv{i}_0")(x)
        x = keras.layers.Conv2D(
            64, (1, 5), dilation_rate=(1, dilation), activation="relu", name=f"conv{i}_1"
        )(x)
        x = keras.layers.BatchNormalization(name=f"bn{i}")(x)
    x = keras.layers.Flatten()(x)
    return keras.layers.Dense(options["embedding_len"], activation="sigmoid", name="dense")(x)

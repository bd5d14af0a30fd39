"""MulKINet: multi-stage key-invariant convolution with channel and temporal attention.

The receptive field of 12 pitch classes by `time_field` frames is split over S stages; each sees all transpositions,
and the maximum over the 12 rows at the end forgets which one it was. Two dilated temporal units and a mean over time
follow. Layers are named as in the published Keras models.

Conventions: input (batch, 12, n_frames), rows pitch classes; output (batch, embedding_len), of length 1.

Paper: Cao 2020 (ISSPIT), "MulKINet: Multi-Stage Key-Invariant Convolutional Neural Networks for Accurate and Fast
Cover Song Identification".
"""

import tensorflow as tf

from mulkinet.errors import MulkinetError
from mulkinet.models import register_network
from mulkinet.models.attention import ChannelAttention, TemporalAttention
from mulkinet.models.base import EmbeddingNetwork, check_choice, check_flag, check_positive
from mulkinet.models.layers import (
    LEAKY_SLOPE,
    KeyInvariantConv2D,
    L2Normalize,
    RowWeightedBatchNorm,
)
from mulkinet.models.pitch_rows import N_PITCH_CLASSES

__all__ = ["MulKINet"]

BLOCKS = ("simple", "bottleneck", "wider")
STAGES = (1, 2, 3, 4, 6, 12)
ATTENTION_RATIO = 4
KERNEL_L2 = 1e-4
N_TEMPORAL_UNITS = 2
TEMPORAL_WIDTH, TEMPORAL_DILATION = 10, 3
POOL_WIDTH, POOL_STRIDE = 3, 2


@register_network("mulkinet")
@tf.keras.utils.register_keras_serializable(package="mulkinet")
class MulKINet(EmbeddingNetwork):
    """MulKINet-S (Cao 2020).

    Args:
        block: Kind of stage: simple, bottleneck or wider. "simple" is one convolution to `ki_out_channel`,
            "bottleneck" squeezes each stage between 1 x 1 convolutions, "wider" squeezes between the stages.
        ki_block_num: Number S of key-invariant stages: 1, 2, 3, 4, 6 or 12.
        chnlatt: Channel attention. It is in every unit that has a wide kernel.
        tempatt: Temporal attention. It is in the same units, and fixes the number of frames.
        ki_out_channel: Channels of the wide convolutions, C.
        bn_ratio: Channel reduction in bottleneck and wider blocks. Their narrow convolutions have C // bn_ratio.
        time_field: Frames that all stages see together. Each takes time_field // S.
        embedding_len: Size of the embedding.
        n_frames: Frames of the input; None, without temporal attention, for any length.
        strict_invariance: Make the embedding independent of the key. Means and batch moments are then taken over the
            12 distinct rows. The published network (False) has
            rows between its stages in which the first pitch classes stand twice, so that its embedding depends
            somewhat on the key. Same weights either way.

    Raises:
        MulkinetError: An option's value is not possible; the message says which are.
    """

    # Cao 2020: classification with crops of 400 frames.
    recipes = {
        "mulkinet": {
            "loss": "softmax",
            "n_frames": 400,
            "batchsize": 32,
            "max_epoch": 100,
            "optimizer": "adam",
            "lr": 1e-3,
            "schedule": "cosine",
        }
    }
    distance = "cosine"
    classifier_dropout = 0.5
    kernel_l2 = KERNEL_L2

    def __init__(
        self,
        *,
        block="wider",
        ki_block_num=4,
        chnlatt=True,
        tempatt=True,
        ki_out_channel=256,
        bn_ratio=4,
        time_field=48,
        embedding_len=128,
        n_frames=400,
        strict_invariance=False,
    ):
        options = {name: value for name, value in locals().items() if name in self.defaults()}
        _check(options)
        min_frames = _min_frames(ki_block_num, time_field)
        if n_frames is not None:
            check_positive("n_frames", n_frames, least=min_frames)
        inputs = tf.keras.Input((N_PITCH_CLASSES, n_frames), name="Feature")
        embedding = _Graph(options).embedding(inputs)
        super().__init__(
            inputs, embedding, options=options, n_frames=n_frames, min_frames=n_frames or min_frames
        )

    def head_output(self):
        return self.get_layer("Embedding_LeakyReLU").output


def _check(options):
    check_choice("block", options["block"], BLOCKS)
    check_positive("ki_block_num", options["ki_block_num"])
    check_choice("ki_block_num", options["ki_block_num"], STAGES)
    check_positive("time_field", options["time_field"], least=options["ki_block_num"])
    for name in ("ki_out_channel", "bn_ratio", "embedding_len"):
        check_positive(name, options[name])
    for name in ("chnlatt", "tempatt", "strict_invariance"):
        check_flag(name, options[name])
    if options["block"] != "simple" and options["bn_ratio"] > options["ki_out_channel"]:
        raise MulkinetError(
            f"bn_ratio: expected at most ki_out_channel ({options['ki_out_channel']}), "
            f"found {options['bn_ratio']}, which leaves the narrow convolutions no channel"
        )
    if options["n_frames"] is None and options["tempatt"]:
        raise MulkinetError(
            "n_frames: expected a number, because temporal attention fixes the length; found none; "
            "name one, or switch temporal attention off (--no-tempatt)"
        )


def stage_kernels(n_stages, time_field):
    """The (height, width) of each stage's kernel: together they span 12 rows and about `time_field` frames."""
    height, width = N_PITCH_CLASSES // n_stages, time_field // n_stages
    return [(height, width)] + [(height + 1, width + 1)] * (n_stages - 1)


def _min_frames(n_stages, time_field):
    """The shortest input that leaves one frame before the mean over time."""
    n_frames = 1
    for _ in range(N_TEMPORAL_UNITS):
        n_frames = (n_frames - 1) * POOL_STRIDE + POOL_WIDTH
        n_frames += (TEMPORAL_WIDTH - 1) * TEMPORAL_DILATION
    return n_frames + sum(width - 1 for _, width in stage_kernels(n_stages, time_field))


class _Graph:
    """Puts the layers together; knows how many rows the published network has at each place."""

    def __init__(self, options):
        self.block = options["block"]
        self.chnlatt = options["chnlatt"]
        self.tempatt = options["tempatt"]
        self.strict = options["strict_invariance"]
        self.channels = options["ki_out_channel"]
        self.narrow = options["ki_out_channel"] // options["bn_ratio"]
        self.kernels = stage_kernels(options["ki_block_num"], options["time_field"])
        self.embedding_len = options["embedding_len"]
        self.rows = 2 * N_PITCH_CLASSES - 1

    def embedding(self, inputs):
        x = tf.keras.layers.Reshape((N_PITCH_CLASSES, -1, 1), name="Channel")(inputs)
        for stage, kernel in enumerate(self.kernels):
            x = self._stage(x, stage, kernel)
        x = tf.keras.layers.MaxPooling2D((N_PITCH_CLASSES, 1), name="KICNN_MaxPool")(x)
        self.rows = 1
        for i in range(N_TEMPORAL_UNITS):
            x = self._unit(
                x, f"Temporal_{i}", self.channels, (1, TEMPORAL_WIDTH), dilation=TEMPORAL_DILATION
            )
            x = tf.keras.layers.MaxPooling2D(
                (1, POOL_WIDTH), strides=(1, POOL_STRIDE), name=f"Temporal_MaxPool_{i}"
            )(x)
        x = tf.keras.layers.GlobalAveragePooling2D(name="Temporal_Summary")(x)
        x = tf.keras.layers.Dense(
            self.embedding_len, use_bias=False, kernel_regularizer=_l2(), name="Embedding"
        )(x)
        x = tf.keras.layers.BatchNormalization(name="Embedding_BN")(x)
        x = tf.keras.layers.LeakyReLU(LEAKY_SLOPE, name="Embedding_LeakyReLU")(x)
        return L2Normalize(name="Embedding_L2")(x)

    def _stage(self, x, stage, kernel):
        last = stage == len(self.kernels) - 1
        if self.block == "bottleneck" and stage > 0:
            name = f"KI_Bottleneck{stage}"
            x = self._unit(x, f"{name}_0", self.narrow, (1, 1), attention=False)
            x = self._unit(x, f"{name}_1", self.narrow, kernel)
            return self._unit(x, f"{name}_2", self.channels, (1, 1), attention=False)
        if self.block == "wider" and not last:
            name = f"KI_Wider_Bottleneck{stage}"
            x = self._unit(x, f"{name}_0", self.channels, kernel)
            return self._unit(x, f"{name}_1", self.narrow, (1, 1), attention=False)
        return self._unit(x, f"KI_{stage}", self.channels, kernel)

    def _unit(self, x, name, filters, kernel, *, dilation=1, attention=True):
        """Convolution, batch norm, channel attention, temporal attention, leaky ReLU."""
        height, width = kernel
        self.rows -= height - 1
        n_rows = self.rows if self.rows > N_PITCH_CLASSES and not self.strict else None
        convolution = tf.keras.layers.Conv2D if kernel == (1, 1) else KeyInvariantConv2D
        x = convolution(
            filters,
            kernel,
            dilation_rate=(1, dilation),
            use_bias=False,
            kernel_regularizer=_l2(),
            name=f"{name}_Conv",
        )(x)
        x = RowWeightedBatchNorm(n_rows, name=f"{name}_BN")(x)
        settings = {"ratio": ATTENTION_RATIO, "n_rows": n_rows}
        if attention and self.chnlatt:
            x = ChannelAttention(kernel_regularizer=_l2(), name=f"{name}_ChnlAtt", **settings)(x)
        if attention and self.tempatt:
            x = TemporalAttention(kernel_regularizer=_l2(), name=f"{name}_TempAtt", **settings)(x)
        return tf.keras.layers.LeakyReLU(LEAKY_SLOPE, name=f"{name}_LeakyReLU")(x)


def _l2():
    return tf.keras.regularizers.L2(KERNEL_L2)

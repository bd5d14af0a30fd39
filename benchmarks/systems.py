"""Every system at its published size, the package's model and baselines: what embedding a track of four minutes costs.

    python benchmarks/systems.py

Printed is the processor time of one track, the median of a few batches of 4, without extraction and reading; networks
of a fixed length see that much of the track.
"""

import os
import statistics
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from machine import processor

from mulkinet.evaluation.baselines import EMBEDDED, Baseline
from mulkinet.models import build_model
from mulkinet.models.model_file import load_model

SECONDS, BATCH, REPEATS = 240, 4, 3
# Frames a second of what each is shown.
HPCP, CREMA, CQT = 44100 / 1024 / 20, 44100 / 512 / 8, 22050 / 512 / 20
COVERS = 1 / 0.72
VINET = {"embedding_len": 512, "bias": False, "normalized": True, "divide": True}
SYSTEMS = {
    "MulKINet wider-4": ("mulkinet", {}, HPCP),
    "MulKINet simple-4": ("mulkinet", {"block": "simple"}, HPCP),
    "MOVE": ("move", {}, CREMA),
    "MOVE 4000": ("move", {"embedding_len": 4000}, CREMA),
    "re-MOVE": ("move", {"embedding_len": 256, "distance": "cosine"}, CREMA),
    "Siamese encoder": ("siamese", {}, None),
    "residual network": ("rescnn", {}, CQT),
    "CQTNet": ("cqtnet", {}, CQT),
    "Discogs-VINet": ("cqtnet", VINET, CQT),
    "Discogs-VINet, MIREX": ("cqtnet", {**VINET, "width": 40}, CQT),
}


def models():
    """Names, what embeds, and frames a second, one after another."""
    for name, (network, options, rate) in SYSTEMS.items():
        yield name, build_model(network, **options), rate
    yield "covers", load_model("covers"), COVERS
    for name in EMBEDDED:
        yield name, Baseline(name, "crema", {"frame_rate": CREMA}), CREMA


def main():
    """Measure and print."""
    print(f"{processor()}, {os.cpu_count()} cores")
    print(f"{'system':22s} {'parameters':>12s} {'ms a track':>10s}")
    rng = np.random.default_rng(0)
    for name, model, rate in models():
        n_frames = model.n_frames or round(SECONDS * rate)
        x = rng.random((BATCH, model.n_bins, n_frames), np.float32)
        kernels = model.transformed_kernels()
        model.embed_batch(x, kernels)
        taken = []
        for _ in range(REPEATS):
            start = time.process_time()
            model.embed_batch(x, kernels)
            taken.append((time.process_time() - start) / BATCH)
        variables = getattr(model, "trainable_variables", ())
        n = sum(int(np.prod(variable.shape)) for variable in variables)
        print(f"{name:22s} {n:12d} {1000 * statistics.median(taken):10.0f}", flush=True)


if __name__ == "__main__":
    main()

"""The losses written a second time as naive Python loops over numbers, slow and plain."""

import math

import numpy as np


def distance(x, y, name):
    """Distance of two vectors and its gradients with respect to both."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    none = np.zeros_like(x)
    if name == "cosine":
        nx, ny = math.sqrt(sum(x * x)), math.sqrt(sum(y * y))
        if nx == 0 or ny == 0:
            return 1.0, none, none
        u, v = x / nx, y / ny
        cosine = sum(u * v)
        value = sum((u - v) ** 2) / 2
        if value < 1e-14:
            return 0.0, none, none
        return value, (cosine * u - v) / nx, (cosine * v - u) / ny
    squared = sum((x - y) ** 2)
    if name == "sqeuclidean":
        return squared / len(x), 2 * (x - y) / len(x), 2 * (y - x) / len(x)
    root = math.sqrt(squared)
    return (root, none, none) if root == 0 else (root, (x - y) / root, (y - x) / root)


def distance_matrix(embeddings, name):
    """All distances, as float32: what mining sees."""
    return np.array([[distance(x, y, name)[0] for y in embeddings] for x in embeddings], np.float32)


def triplets(distances, works, tracks, mining, bits):
    """The (anchor, positive, negative) that a mining is said to choose.

    bits (2, batch, batch) are the uniform integers of positives and negatives.
    """
    n = len(works)
    if mining.startswith("move_"):
        tracks = range(n)
    chosen = []
    for a in range(n):
        positives = [p for p in range(n) if works[p] == works[a] and tracks[p] != tracks[a]]
        negatives = [q for q in range(n) if works[q] != works[a]]
        if not positives or not negatives:
            continue
        d = distances[a]
        if mining == "batch_all":
            chosen += [(a, p, q) for p in positives for q in negatives]
        elif mining == "semihard":
            for p in positives:
                beyond = [q for q in negatives if d[q] > d[p]]
                if beyond:
                    chosen.append((a, p, min(beyond, key=lambda q: d[q])))
        elif mining.endswith("hard") and not mining.startswith("move_"):
            positive = {
                "hard": max(positives, key=lambda p: d[p]),
                "easy_hard": min(positives, key=lambda p: d[p]),
                "random_hard": max(positives, key=lambda p: bits[0, a, p]),
            }[mining]
            chosen.append((a, positive, min(negatives, key=lambda q: d[q])))
        else:
            scores = {"hard_random": d, "easy_random": -d}.get(mining, bits[0, a])
            p = max(positives, key=lambda p: scores[p])
            nearer = [q for q in negatives if d[q] < d[p]]
            if mining == "move_semihard" and nearer:
                negatives = nearer
            chosen.append((a, p, max(negatives, key=lambda q: bits[1, a, q])))
    return chosen


def triplet_loss(embeddings, chosen, margin, name):
    """Mean hinge of the chosen triplets, its gradient, and how many are active."""
    total, active = 0.0, 0
    gradient = np.zeros(embeddings.shape, np.float64)
    for a, p, q in chosen:
        d_pos, pos_a, pos_p = distance(embeddings[a], embeddings[p], name)
        d_neg, neg_a, neg_q = distance(embeddings[a], embeddings[q], name)
        hinge = np.float32(d_pos) - np.float32(d_neg) + np.float32(margin)
        if hinge > 0:
            active += 1
            total += float(hinge)
            gradient[a] += pos_a - neg_a
            gradient[p] += pos_p
            gradient[q] -= neg_q
    count = max(len(chosen), 1)
    return total / count, gradient / count, active


def statistics(distances, works, tracks, margin):
    """Mean positive distance, mean negative distance, share of anchors that violate the margin."""
    n = len(works)
    positive, negative, violating = [], [], []
    for a in range(n):
        pos = [distances[a, p] for p in range(n) if works[p] == works[a] and tracks[p] != tracks[a]]
        neg = [distances[a, q] for q in range(n) if works[q] != works[a]]
        positive += pos
        negative += neg
        if pos and neg:
            violating.append(max(pos) + np.float32(margin) > min(neg))
    return [float(np.mean(part)) if part else 0.0 for part in (positive, negative, violating)]

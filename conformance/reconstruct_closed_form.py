#!/usr/bin/env python3
"""Table 2 for data whose optimal network is known: encoding and decoding in S steps, mean squared error per dimension on [0, 1].

    pip install numpy
    python conformance/reconstruct_closed_form.py fashion-mnist [cifar-10-batches-bin]

Garments (padded to 32x32) and CIFAR-10's test images as one Gaussian of their own covariance, and the first 100 garments of the test set under a mixture
of ten Gaussians, one a class, fitted to the first 30,000 training images. Timesteps are `leading`; encoding evaluates eps at (x_old, t_new), as ddim does. The
second line is of a network that predicts v, which DDIMInverseScheduler reads at the level of x_old: the same network, and a larger error.
"""
import gzip, sys
import numpy as np

alpha_bar = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))


def garments(split, count=None):
    read = lambda kind, skip: np.frombuffer(gzip.open(f"{sys.argv[1]}/{split}-{kind}-ubyte.gz").read(), np.uint8, offset=skip)
    x = np.pad(read("images-idx3", 16).reshape(-1, 28, 28)[:count], ((0, 0), (2, 2), (2, 2)))
    return x.reshape(len(x), -1) / 127.5 - 1, read("labels-idx1", 8)[:count]


def spectrum(x):
    """Mean, variances and directions of a Gaussian."""
    mean = x.mean(0)
    variances, directions = np.linalg.eigh((x - mean).T @ (x - mean) / len(x))
    return mean, np.clip(variances, 0, None), directions


def round_trip(x, steps, eps, encoding=None):
    """Eq. 13 up from x_0 over the timesteps, and down again; `encoding(x, t, alpha_bar of x)` in place of eps upwards."""

    def move(x, a, b, e):
        return np.sqrt(b / a) * (x - np.sqrt(1 - a) * e) + np.sqrt(1 - b) * e

    taus = [i * (1000 // steps) for i in range(steps)]
    levels = [1.0, *alpha_bar[taus]]
    for i, t in enumerate(taus):
        x = move(x, levels[i], levels[i + 1], encoding(x, t, levels[i]) if encoding else eps(x, t))
    for i, t in reversed(list(enumerate(taus))):
        x = move(x, levels[i + 1], levels[i], eps(x, t))
    return x


def one_gaussian(x, steps, v_at_old=False):
    # The network is linear, so each direction is scaled by a factor of its own.
    _, variances, _ = spectrum(x)
    eps = lambda x, t: np.sqrt(1 - alpha_bar[t]) * x / (alpha_bar[t] * variances + 1 - alpha_bar[t])

    def v_read_at(x, t, a):
        # v = sqrt(a) eps - sqrt(1 - a) x_0 of the network that was told t, and eps = sqrt(a) v + sqrt(1 - a) x.
        e = eps(x, t)
        x_0 = (x - np.sqrt(1 - alpha_bar[t]) * e) / np.sqrt(alpha_bar[t])
        return np.sqrt(a) * (np.sqrt(alpha_bar[t]) * e - np.sqrt(1 - alpha_bar[t]) * x_0) + np.sqrt(1 - a) * x

    factor = round_trip(np.ones_like(variances), steps, eps, v_read_at if v_at_old else None)
    return ((factor - 1) ** 2 * variances).mean() / 4


def mixture(parts, x, steps):
    def eps(x, t):
        a, noise = alpha_bar[t], 1 - alpha_bar[t]
        logs, scores = [], []
        for mean, variances, directions in parts:
            # A floor, so that pixels which never change have a density.
            z, v = (x - np.sqrt(a) * mean) @ directions, a * np.maximum(variances, 1e-5) + noise
            logs.append(-0.5 * (z * z / v + np.log(v)).sum(1))
            scores.append((z / v) @ directions.T)
        weights = np.exp(np.array(logs) - np.max(logs, axis=0))
        return np.sqrt(noise) * np.einsum("kn,knd->nd", weights / weights.sum(0), np.array(scores))

    return ((round_trip(x, steps, eps) - x) ** 2).mean() / 4


test, _ = garments("t10k")
train, labels = garments("train", 30_000)
parts = [spectrum(train[labels == k]) for k in range(10)]
show = lambda name, error: print(f"{name:32}", *(f"{error(steps):.5f}" for steps in [10, 20, 50, 100]))
print(f"{'steps':32}", *(f"{steps:7}" for steps in [10, 20, 50, 100]))
show("garments, one Gaussian", lambda steps: one_gaussian(test, steps))
show("the same, v read at x_old", lambda steps: one_gaussian(test, steps, v_at_old=True))
show("garments, a mixture of ten", lambda steps: mixture(parts, test[:100], steps))
if len(sys.argv) > 2:
    cifar = np.fromfile(f"{sys.argv[2]}/test_batch.bin", np.uint8).reshape(-1, 3073)[:, 1:] / 127.5 - 1
    show("CIFAR-10, one Gaussian", lambda steps: one_gaussian(cifar, steps))

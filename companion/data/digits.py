"""Handwritten digits: scikit-learn's 1,797 real 8 x 8 images, split once and for all (chapter *Neural networks*).

The images are the test part of the UCI set *Optical Recognition of Handwritten Digits* (Alpaydin and Kaynak 1998).
Needs scikit-learn, which ships them.
"""

from typing import NamedTuple

import numpy as np

from companion.tree import Array, Indices

N_TRAIN, N_VALIDATION = 1197, 300  # the remaining 300 are the test set


class Examples(NamedTuple):
    """Images and what they show."""

    x: Array  # (N, 64) float64 brightness from 0 (background) to 1 (ink), row by row
    labels: Indices  # (N,) int64 digits 0 ... 9


class Digits(NamedTuple):
    """The three parts: fit on train, choose on validation, look at test once."""

    train: Examples  # 1,197
    validation: Examples  # 300
    test: Examples  # 300


def load_digits() -> Digits:
    """Load the digits; the split is the same in every run and on every machine."""
    from sklearn import datasets

    images, labels = datasets.load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    x, labels = images[order] / 16, labels[order].astype(np.int64)
    parts = np.split(np.arange(len(x)), [N_TRAIN, N_TRAIN + N_VALIDATION])
    return Digits(*(Examples(x[rows], labels[rows]) for rows in parts))

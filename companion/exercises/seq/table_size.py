"""Predict: how many numbers a trigram model has to learn."""

from companion.exercises.exercise import Exercise, Mistake


def trigram_numbers() -> int:
    """How many probabilities of the three tables can be chosen freely."""
    V = 27
    return (V - 1) + V * (V - 1) + V**2 * (V - 1)


EXERCISE = Exercise(
    name="seq.table_size",
    kind="predict",
    title="Three tables",
    statement="""
        A model of texts over 27 symbols (26 letters and the blank) has three tables of probabilities: one for the first symbol
        of a text, one for the second symbol given the first, and one for every later symbol given the two before it. How many
        of its numbers can be chosen freely, all three tables together? The result is 1 less than a power of 27. Why?
    """,
    solution=trigram_numbers,
    outputs=("the count",),
    cases=lambda rng: [()],
    rtol=1e-9,
    hints=(
        "A table has one row for each context, and a row is a distribution over 27 symbols. How many rows has each table?",
        "1, 27 and 27^2 rows. The probabilities of a row sum to one, so that the last of them follows from the others.",
        "26 numbers in each of 1 + 27 + 27^2 rows. (Multiply it out. A model like that can have any distribution of three "
        "symbols, of which there are so many strings, whose probabilities sum to one.)",
    ),
    mistakes=(
        Mistake(
            "counted the table of the later symbols only",
            "The first two symbols of a text have tables of their own.",
            "table-size",
            lambda: 26 * 27**2,
        ),
        Mistake(
            "counted all entries of the tables",
            "The entries of a row sum to one: 27 probabilities, of which the last follows from the other 26.",
            "table-size",
            lambda: 27 + 27**2 + 27**3,
        ),
        Mistake(
            "took one number off each table instead of off each row",
            "Not the table sums to one but each of its rows: every context has a distribution of its own.",
            "table-size",
            lambda: 26 + 27**2 - 1 + 27**3 - 1,
        ),
        Mistake(
            "counted the entries of the largest table only",
            "There are two more tables, and the entries of a row sum to one. The two slips nearly cancel.",
            "table-size",
            lambda: 27**3,
        ),
        Mistake(
            "left out the table of the first symbol",
            "It has a single row, whose 26 free numbers count as well.",
            "table-size",
            lambda: 26 * (27 + 27**2),
        ),
        Mistake(
            "left out the table of the second symbol",
            "It has a row for each of the 27 symbols that may be the first.",
            "table-size",
            lambda: 26 * (1 + 27**2),
        ),
        Mistake(
            "counted rows",
            "That is how many contexts there are. Each has a distribution over 27 symbols, with 26 free numbers.",
            "table-size",
            lambda: 1 + 27 + 27**2,
        ),
        Mistake(
            "stopped at contexts of one symbol",
            "Later symbols depend on the *two* before them, which takes a third table.",
            "n-gram",
            lambda: 26 * (1 + 27),
        ),
        Mistake(
            "added a fourth table, for contexts of three symbols",
            "The model looks at three symbols altogether: the one it predicts, and two before it.",
            "n-gram",
            lambda: 26 * (1 + 27 + 27**2 + 27**3),
        ),
        Mistake(
            "gave each table as many rows as its context has symbols",
            "A context of two symbols can be any of 27^2 pairs, and each pair has its own row.",
            "table-size",
            lambda: 26 * (1 + 1 + 2),
        ),
        Mistake(
            "counted the contexts of two symbols",
            "That many rows the largest table has. Each row holds 26 free numbers, and there are two more tables.",
            "table-size",
            lambda: 27**2,
        ),
        Mistake(
            "gave all three tables the size of the largest, and took one number off each",
            "The tables have 1, 27 and 27^2 rows, and it is each *row* that sums to one.",
            "table-size",
            lambda: 3 * (27**3 - 1),
        ),
    ),
)

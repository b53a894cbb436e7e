"""Exercises of the chapter *Why model sequences*, in its order."""

from companion.exercises.seq import (
    add_k,
    baum_welch,
    counter,
    forward,
    hunt_pointers,
    hunt_smoothing,
    hunt_underflow,
    kneser_ney,
    latch,
    parity_hmm,
    perplexity,
    posterior,
    state_count,
    table_size,
    viterbi,
    window,
)

EXERCISES = tuple(
    module.EXERCISE
    for module in (
        window,
        perplexity,
        table_size,
        add_k,
        kneser_ney,
        hunt_smoothing,
        forward,
        hunt_underflow,
        posterior,
        viterbi,
        hunt_pointers,
        baum_welch,
        state_count,
        parity_hmm,
        latch,
        counter,
    )
)

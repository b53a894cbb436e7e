"""Exercises of the chapter *Bidirectional networks*, in its order."""

from companion.exercises.bi import (
    accuracy,
    backward_layer,
    delay,
    forward,
    hunt_reverse,
    hunt_stream,
    masked_loss,
    parameters,
    reach,
    reverse,
    stacked,
    summary,
    window,
)

EXERCISES = tuple(
    module.EXERCISE
    for module in (
        parameters,
        reach,
        reverse,
        forward,
        summary,
        masked_loss,
        accuracy,
        window,
        delay,
        hunt_stream,
        hunt_reverse,
        backward_layer,
        stacked,
    )
)

"""Exercises of the chapter *LSTM and GRU*, in its order."""

from companion.exercises.lstm import (
    carousel,
    chrono,
    dropout_between,
    forget_bias,
    full_cell,
    gru_backward,
    gru_step,
    hunt_bias,
    hunt_state,
    parameter_count,
    peepholes,
    step,
    step_backward,
)

EXERCISES = tuple(
    module.EXERCISE
    for module in (
        parameter_count,
        full_cell,
        forget_bias,
        step,
        hunt_bias,
        carousel,
        step_backward,
        hunt_state,
        gru_step,
        gru_backward,
        chrono,
        peepholes,
        dropout_between,
    )
)

"""Exercises of the chapter *Neural networks*, in its order."""

from companion.exercises.nn import (
    adam,
    central_difference,
    cross_entropy,
    dropout,
    hidden_layer,
    hunt_relu,
    hunt_skip,
    initial_loss,
    momentum,
    parameter_count,
    sigmoid_slope,
    softmax,
    softmax_backward,
    tape,
)

EXERCISES = tuple(
    module.EXERCISE
    for module in (
        parameter_count,
        initial_loss,
        sigmoid_slope,
        softmax,
        softmax_backward,
        cross_entropy,
        hidden_layer,
        central_difference,
        hunt_relu,
        hunt_skip,
        momentum,
        adam,
        dropout,
        tape,
    )
)

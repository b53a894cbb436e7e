"""Exercises of the chapter *Neural networks*, in its order."""

from companion.exercises.nn import (
    adam_step,
    central_difference,
    cross_entropy,
    dropout_backward,
    hidden_layer_gradients,
    hunt_relu,
    hunt_skip,
    initial_loss,
    momentum_step,
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
        hidden_layer_gradients,
        central_difference,
        hunt_relu,
        hunt_skip,
        momentum_step,
        adam_step,
        dropout_backward,
        tape,
    )
)

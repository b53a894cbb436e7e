"""Exercises of the chapter *Recurrent networks*, in its order."""

from companion.exercises.rnn import (
    clip_gradients,
    elman_backward,
    elman_forward,
    hunt_context,
    hunt_evaluation,
    hunt_minus_one,
    masked_elman,
    rtrl_step,
    saturated_unit,
    state_jacobian,
    truncated_gradient,
    unit_gradient,
    vanishing_lag,
)

EXERCISES = tuple(
    module.EXERCISE
    for module in (
        vanishing_lag,
        elman_forward,
        unit_gradient,
        elman_backward,
        hunt_minus_one,
        truncated_gradient,
        saturated_unit,
        state_jacobian,
        clip_gradients,
        masked_elman,
        hunt_evaluation,
        hunt_context,
        rtrl_step,
    )
)

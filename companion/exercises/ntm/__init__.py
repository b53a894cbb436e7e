"""Exercises of the chapter *Neural Turing machines*, in its order."""

from companion.exercises.ntm import (
    address,
    blur,
    content_address,
    content_address_backward,
    copy_by_hand,
    erase_add,
    erase_add_backward,
    hunt_axis,
    hunt_previous,
    hunt_sharpen,
    hunt_shift,
    hunt_strength,
    interpolate,
    interpolate_backward,
    optimal_ngram,
    parameter_count,
    read,
    sharpen,
    sharpen_backward,
    shift,
    shift_backward,
)

EXERCISES = tuple(
    module.EXERCISE
    for module in (
        read,
        erase_add,
        erase_add_backward,
        content_address,
        content_address_backward,
        hunt_axis,
        hunt_strength,
        interpolate,
        interpolate_backward,
        shift,
        shift_backward,
        hunt_shift,
        sharpen,
        blur,
        sharpen_backward,
        hunt_sharpen,
        address,
        hunt_previous,
        parameter_count,
        copy_by_hand,
        optimal_ngram,
    )
)

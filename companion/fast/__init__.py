"""Whole sequences at the speed of a library: `fast.rnn`, `fast.lstm` and `fast.gru`, each a `Layer` with the same results.

Read the cells first (`companion.rnn`, `lstm`, `gru`): they say what is computed, these files how to compute it quickly.
`fast.compiled` is an LSTM that needs numba and is imported only when asked for.
"""

"""Whole sequences at the speed of a library: `fast.rnn`, `lstm`, `gru` and `ntm`, each a `Layer` with the same results.

Read the cells first (`companion.rnn`, `lstm`, `gru`, `ntm`): they say what is computed, these files how to compute it quickly.
`fast.compiled`, an LSTM, and `fast.compiled_ntm` need numba and are imported only when asked for.
"""

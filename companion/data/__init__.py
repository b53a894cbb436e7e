"""Data: one file for every kind, drawn from a seed or read from an installed package; `packages` fetches what is missing."""

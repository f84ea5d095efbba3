"""The proof by faults: the functions in simulated time, killed, doubled and delayed by a seed.

`python -m tests.faults` runs it; docs/development.md says what it does and what it does not.
"""

"""Expectations as array operations: the verdict of Great Expectations at a hundredth of its cost, without importing it.

`plan` compiles a suite; the other modules hold one kind of expectation each and name in `MAKERS` what they compile.
What they do not compile, Great Expectations judges itself.
"""

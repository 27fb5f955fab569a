"""The checks of an audit and the verdict: pure functions of what was measured."""

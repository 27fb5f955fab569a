"""The checks of an audit and the verdict: pure functions of what was measured. A check is one object, see `registry`."""

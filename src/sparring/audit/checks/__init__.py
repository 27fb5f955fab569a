"""The checks of an audit and its verdict: pure functions of what was measured. A check is one object."""

"""The work of an audit: the plan, its shards, what is concluded from them, and the folder of a run."""

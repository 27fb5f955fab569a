"""Who makes the shards of an audit: processes of this machine, jobs of a Slurm cluster, workers of a Ray cluster.

All of them give the same report: a shard is a pure function of the plan and its number.
"""

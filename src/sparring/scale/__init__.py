"""Runs that outlive their process: fixed shards in a folder, claimed by leases, written once, merged in order."""

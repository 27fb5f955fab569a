"""The attacks of an audit on one shard: the cascade, its controls, its receipt and its proof."""

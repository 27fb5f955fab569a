"""What an audit is given: images, claims, requirements, certificates."""

"""Boots: from a `Host` to the `Layout` and the P2M that its kernel builds."""

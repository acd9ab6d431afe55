"""Questions to one map or two: what it consists of, what lies behind a frame, what changed."""

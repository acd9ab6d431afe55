"""Damaged inputs for every parser: whatever happens, it is an `XenP2MError`, soon, and in little memory."""

"""Frames to person boxes."""

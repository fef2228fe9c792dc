"""Configurations that TrackLab finds through our entry point."""

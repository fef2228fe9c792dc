"""Frames in, results out; knows neither tracks nor networks."""

"""Videos and streams in, tracked videos and track files out."""

"""From a source to its results: stages, runs, caches."""

"""Parts of the picture: which boxes count, who crosses a line, and who is in a zone for how long."""

"""Who is who beyond the frame: tracklets, links, names, views."""

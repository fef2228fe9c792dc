"""Many videos in one call: what is asked for, what is done already, who does the rest."""

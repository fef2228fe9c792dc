"""The page of a run on which identities are seen and corrected, and what corrections do to the tracks."""

"""Training of BPBReID encoders: GiLt losses, ReID data sets, human-parsing labels, one's own footage."""

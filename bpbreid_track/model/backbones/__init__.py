"""The convolutional bodies under the part attention."""

"""The Python side of the search pipeline: an HTTP service that the engine calls."""

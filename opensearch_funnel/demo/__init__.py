"""What the demo searches: Python's own documentation, with questions and graded answers."""

"""Things the project makes for itself: random checkpoints for tests and the demo, and the bundled picture."""

"""Parameter classes that do not depend on any device or rule."""

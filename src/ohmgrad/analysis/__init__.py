"""What measurements say about cells: steps, responses, symmetric points, and devices fitted to data."""

"""Pictures of devices, and what all pictures share."""

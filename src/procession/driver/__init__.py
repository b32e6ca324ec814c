"""Steps a core and performs its commands."""

"""The drill's records: invented, realistic, and the same for the same seed and number of rows."""

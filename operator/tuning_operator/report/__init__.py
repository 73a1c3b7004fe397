"""A study told in one HTML file."""

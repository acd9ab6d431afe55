"""Views: one result shown in one way each. A view reads no file and computes nothing but layout."""

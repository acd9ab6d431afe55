"""A map and its guest's memory written for other programs: images, tables."""

"""Pages and pictures: one file that anybody can open, made from numbers that are there already."""

"""Stored results: one HDF5 file each, written by one process and readable at any time."""

"""Run files: one HDF5 file a run, written by one process, readable at any instant."""

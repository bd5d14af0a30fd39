"""Files on disk: written whole or not at all (atomic, hdf5), locked (locks), read without trust (numpy_files)."""

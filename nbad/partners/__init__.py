"""What the files of partners are made of: their arrays read and cut, sweeps as functions that they know, names for results."""

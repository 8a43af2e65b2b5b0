"""Vector functions of nbad's own, as LLVM IR: one text per function, printed for vectors of any length in either dtype."""

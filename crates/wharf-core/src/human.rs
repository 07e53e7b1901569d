//! Docker's units and relative times.

//! Round trips, both forms, and what nobody should have written.

//! The conformance suite that every `Sink` runs in its tests.

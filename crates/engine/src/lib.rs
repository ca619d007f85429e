//! The engine: observes, walks and acts under a lease, exactly once.

//! The way to the cloud: one tower seam, request signing, configuration, API budget.

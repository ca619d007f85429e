//! The Exoscale resource kinds, sans IO: identity, observe, create, delete, compare.

//! A simulated Exoscale: API, object storage, faults, latencies and quotas.

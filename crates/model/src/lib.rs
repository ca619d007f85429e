//! Plain data shared by every crate: names, requests, graphs, plans, events.

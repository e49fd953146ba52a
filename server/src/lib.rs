//! Events in over HTTP.

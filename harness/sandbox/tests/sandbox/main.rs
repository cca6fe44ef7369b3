//! Sessions and sweeps against an engine: a small fake one that can die at any request, always;
//! a real one where `ASSAY_CONTAINER_TESTS=1` says so, and then its absence is a failure.

mod causes;
mod containers;
mod fake_engine;
mod real;
mod sweeping;

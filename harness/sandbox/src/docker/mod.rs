//! A container engine that speaks Docker's API: the only folder that knows the client library.
//!
//! In reading order: [`engine`] (the connection and its faults), [`image`] (images), `prepared`
//! (what sandboxes start from), [`session`] (containers), `look` (what became of them). No type of the client library is part of what these modules offer.

mod commit;
pub mod engine;
pub mod image;
mod look;
mod prepared;
pub mod session;

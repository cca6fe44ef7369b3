//! A container engine that speaks Docker's API: the only folder that knows the client library.
//!
//! In reading order: [`engine`] (the connection and its faults), [`image`] (images), [`pull`] and
//! [`save`] (whole images in and out), `prepared` (what sandboxes start from), [`session`]
//! (containers), `look` (what became of them). No type of the client library is part of what these
//! modules offer.

mod commit;
pub mod engine;
pub mod image;
mod look;
pub(crate) mod prepared;
pub mod pull;
pub mod save;
pub mod session;

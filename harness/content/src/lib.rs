//! Content store, fetching and the forward proxy: everything that comes in from outside passes here.
//!
//! - [`store`] keeps bytes by their sha256 and verifies them on every read;
//! - [`fetch`] is the one outgoing HTTP path: bounded, checked by address and by hash;
//! - [`proxy`] answers the sandbox's tunnel, and is the only server;
//! - [`lab_hosts`] answers `*.assay.test` from a folder, for both of them;
//! - [`openpgp`] reads files of keys: pure, bytes in, facts and findings out;
//! - [`address`], [`url`] and [`upstream`] hold the rules they share.
//!
//! No sandbox, engine or terminal is touched here, no recipe is known, nothing is judged. Bytes of
//! the internet are counted, hashed and passed on; keys alone are read, by [`openpgp`].

pub mod address;
pub mod fetch;
pub mod lab_hosts;
pub mod openpgp;
pub mod proxy;
pub mod store;
pub mod upstream;
pub mod url;

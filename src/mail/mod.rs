//! The field's value types: what a queue id, an address, a status or a time is, how it is read and printed.
//! No regexes, no maps, no I/O.

pub mod address;
pub mod dictionary;
pub mod identity;
pub mod octets;
pub mod queue_id;
pub mod status;
pub mod time;

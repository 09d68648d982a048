//! Everything that a job and its workers exchange: frames, messages with arrays, functions by
//! name, and the page that local workers share.

pub(crate) mod channel;
pub(crate) mod frame;
pub(crate) mod message;
#[allow(unsafe_code)]
pub(crate) mod remote;
pub(crate) mod report;
pub(crate) mod shared_page;

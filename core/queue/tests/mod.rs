//! The queue's behaviour, feature by feature, and all of it against a model. The long form of the property test
//! runs with `MILLRACE_LONG=1`; its seed is printed and set by `MILLRACE_SEED`.

mod bytes;
mod claim;
mod fair;
mod features;
pub(in crate::queue) mod kit;
mod model;
mod plain;
mod property;
mod sessions;
mod world;

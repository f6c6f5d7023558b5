//! The queue's behaviour, feature by feature.

pub(in crate::queue) mod kit;
mod plain;

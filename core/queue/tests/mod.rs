//! The queue's behaviour, feature by feature.

mod kit;
mod plain;

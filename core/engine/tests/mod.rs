//! The data plane from the wire's side: bytes in, the plan carried out, bytes out.
#![allow(clippy::wildcard_imports)]

mod cold;
mod credit;
mod dead_letters;
mod deliver;
mod figures;
mod kit;
mod lifecycle;
mod publish;
mod queues;
mod redrive;
mod schemas;
mod sessions;
mod space_kit;
mod space_recovery;
mod views;

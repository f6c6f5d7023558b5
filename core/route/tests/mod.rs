//! The router as a whole: kinds, ways between exchanges, changes in between, and a plain model beside it.

mod avro;
mod body;
mod expressions;
mod fuzz;
mod kinds;
pub mod kit;
mod model;
mod values;

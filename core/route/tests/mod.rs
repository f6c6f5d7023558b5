//! The router as a whole: kinds, ways between exchanges, changes in between, and a plain model beside it.

mod body;
mod expressions;
mod fuzz;
mod kinds;
mod kit;
mod model;
mod values;

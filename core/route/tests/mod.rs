//! The router as a whole: kinds, ways between exchanges, changes in between, and a plain model beside it.

mod kinds;
mod kit;

mod enforcement;
mod fuzz;
pub mod kit;
mod resolve;
mod table;
mod walk;

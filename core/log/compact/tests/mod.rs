mod harness;
mod model;
mod rules;
mod swap;

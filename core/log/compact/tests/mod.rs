mod harness;
mod model;
mod rules;

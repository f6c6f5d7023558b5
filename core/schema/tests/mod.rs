mod enforcement;
mod kit;
mod resolve;
mod table;
mod walk;

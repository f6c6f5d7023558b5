mod enforcement;
mod kit;
mod table;
mod walk;

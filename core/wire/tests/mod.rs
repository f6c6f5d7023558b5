//! What the scanner makes of good frames, of bad ones, and of any bytes at all.

mod bad;
mod frames;
mod mutation;
mod samples;

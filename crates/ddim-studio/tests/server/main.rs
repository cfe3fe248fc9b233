//! A server on a port of its own, asked in plain HTTP over plain sockets: what a client gets, and what it does not.

mod client;
mod jobs;
mod kept;
mod kinds;
mod openai;
mod refused;
mod slow;

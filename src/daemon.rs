//! The composition root: the only module that knows everyone.

pub mod assemble;
pub mod explain;
pub mod logging;
pub mod open;
pub mod records;
pub mod server;
mod services;

pub use server::{ServeError, Server, SocketError, Sockets};
pub use services::Ended;

//! The composition root: the only module that knows everyone.

pub mod assemble;
pub mod certificate;
pub mod explain;
pub mod limits;
pub mod logging;
pub mod memory;
pub mod open;
pub mod records;
pub mod server;
mod services;
pub mod sockets;

pub use server::{ServeError, Server};
pub use services::Ended;
pub use sockets::{SocketError, Sockets};

//! The composition root: the only module that knows everyone.

pub mod asleep;
pub mod assemble;
pub mod certificate;
pub mod explain;
mod idle;
pub mod keys;
pub mod limits;
pub mod logging;
pub mod memory;
mod metrics;
pub mod open;
mod overview;
pub mod panics;
pub mod records;
pub mod reload;
pub mod server;
mod services;
pub mod sockets;
pub mod status;

pub use server::{Order, ServeError, Server, Surroundings};
pub use services::Ended;
pub use sockets::{SocketError, Sockets};

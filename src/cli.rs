//! The command line: one file per subcommand.

pub mod failure;
pub mod keygen;
pub mod recover;

pub use failure::{Failure, exit};

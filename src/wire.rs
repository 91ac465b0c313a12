//! The protocol of Talos nodes: decode, run the pipeline, encode. What is encoded was recorded first.

pub mod status;
pub mod stubs;
pub mod talos;

//! nightlatch: a key server for Talos Linux disks that asks a person first.
//!
//! One call, top to bottom. Each step eats the proof of the one before, so that a skipped step does not compile:
//!
//! ```text
//!  systemd sockets
//!  listen      accept, limits                                   Peer
//!  wire        decode and parse                                 Request
//!  ══ pipeline ═══════════════════════════════════════════════════════════════════════════
//!  peer        allowed network, listed node, rate               Admitted
//!  approval    rule, grant, or an ask ◄── channel ◄── people    Approved   (eats Admitted)
//!  key         the KEK for this blob and node                   Keks       (needs &Approved)
//!  seal        AEAD                                             Outcome    (eats Approved)
//!  audit       the record, synced, whatever the outcome         Recorded
//!  ═══════════════════════════════════════════════════════════════════════════════════════
//!  wire        encode; nothing that is not Recorded             bytes
//! ```
//!
//! [`daemon`] puts these together, [`cli`] is how people start it and talk to it, and [`config`] is what they write
//! down. [`secret`], [`clock`] and [`request`] are the words that all of them use. ARCHITECTURE.md says who may use
//! whom, and why.

pub mod approval;
pub mod audit;
pub mod certificate;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credential;
pub mod daemon;
pub mod key;
pub mod listen;
pub mod metrics;
pub mod peer;
pub mod pipeline;
pub mod request;
pub mod seal;
pub mod secret;
pub mod state;
pub mod wire;

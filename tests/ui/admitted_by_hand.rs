//! Nobody is admitted but by the rules of admission.

use std::net::IpAddr;

use nightlatch::clock::Moment;
use nightlatch::peer::admission::{Admission, Admitted, Generation, NotAdmitted};
#[cfg(skipped)]
use nightlatch::peer::in_progress::Place;
use nightlatch::peer::{ListedNode, Origin, Peer};
#[cfg(skipped)]
use nightlatch::request::NodeUuid;
use nightlatch::request::Request;

pub fn checked(admission: &Admission, now: Moment, request: Request, peer: Peer) -> Result<Admitted, NotAdmitted> {
    admission.admit(now, request, peer)
}

pub fn looked_up(node: &ListedNode, address: IpAddr) -> Origin {
    node.origin(&Peer { address, port: 1, tls: false })
}

#[cfg(skipped)]
pub fn skipped(
    request: Request,
    node: ListedNode,
    peer: Peer,
    origin: Origin,
    generation: Generation,
    _place: Place<(NodeUuid, Origin)>,
) -> Admitted {
    Admitted { request, node, peer, origin, generation, _place } //~ E0451
}

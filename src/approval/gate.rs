//! The door: the only file that can make an [`Approved`].

use crate::peer::admission::Admitted;
use crate::peer::{ListedNode, Peer};
use crate::request::Request;

/// Proof that the rule for a call was met at the moment of its release.
#[derive(Debug)]
pub struct Approved {
    admitted: Admitted,
}

impl Approved {
    /// The request.
    #[must_use]
    pub fn request(&self) -> &Request {
        self.admitted.request()
    }

    /// The node it is for.
    #[must_use]
    pub fn node(&self) -> &ListedNode {
        self.admitted.node()
    }

    /// Who is connected.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.admitted.peer()
    }

    /// Gives up the request, for the step that acts on it.
    #[must_use]
    pub fn into_request(self) -> Request {
        self.admitted.into_request()
    }

    /// An approval that nobody gave, for tests of the steps behind this one.
    #[cfg(test)]
    #[must_use]
    pub(crate) fn for_test(admitted: Admitted) -> Self {
        Self { admitted }
    }
}

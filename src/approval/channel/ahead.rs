//! Approving ahead, and ending what was approved.

use std::net::IpAddr;

use nightlatch_approval_api::v1;
use tonic::{Request, Status};

use super::{
    BAD_COUNT, Channel, IS_LOCKED, MIN_LEASE, NO_ROOM, NO_SUCH_CLUSTER, RECONFIGURED, TOO_SHORT, WHICH, message,
    seconds,
};
use crate::approval::gate::{Configuration, draw};
use crate::approval::ledger::act::{Act, Answer, Ended, GrantWanted, MAX_USES, WhichGrants};
use crate::approval::policy::Approver;
use crate::peer::{ListedNode, Origin, Peer};
use crate::request::Operation;

/// Most nodes that are named in one request; a cluster may have more.
const MAX_NAMED: usize = 128;

impl Channel {
    pub(super) async fn grant_ahead(&self, request: &Request<v1::GrantRequest>) -> Result<v1::GrantResponse, Status> {
        let configuration = self.gate.configuration();
        let message = request.get_ref();
        let approver = self.approver(&configuration, request, message.telegram_id)?;
        let lasts = seconds(message.for_seconds);
        if lasts.is_some_and(|lasts| lasts < MIN_LEASE) {
            return Err(Status::invalid_argument(TOO_SHORT));
        }
        if message.uses.is_some_and(|uses| !(1..=MAX_USES).contains(&uses)) {
            return Err(Status::invalid_argument(BAD_COUNT));
        }
        let nodes = self.meant(&configuration, &message.nodes, &message.cluster, approver)?;
        let address = self.address(&message.address, nodes.len())?;
        let mut wanted = Vec::with_capacity(nodes.len());
        for node in nodes {
            // An address that is not listed for the node is told as what it is.
            let origin = address.map(|address| node.origin(&Peer::plaintext((address, 0).into())));
            let rule = configuration.policy.rule(&node, Origin::Listed, Operation::Unseal);
            let fresh = draw().map_err(|_| Status::unavailable(super::NOT_RECORDED))?;
            wanted.push(GrantWanted { node, origin, rule, fresh });
        }
        let by = self.voter(request, approver, message.telegram_id)?;
        let vote = approver.kept_vote(&self.name);
        let act = Act::Grant { wanted, by, vote, lasts, uses: message.uses };
        match self.act(configuration.generation, act).await? {
            Answer::Granted(answers) => {
                Ok(v1::GrantResponse { results: answers.iter().map(message::grant_result).collect() })
            }
            Answer::IsLocked(_) => Err(Status::failed_precondition(IS_LOCKED)),
            _ => Err(Status::resource_exhausted(NO_ROOM)),
        }
    }

    pub(super) async fn end_grants(&self, request: &Request<v1::RevokeRequest>) -> Result<v1::RevokeResponse, Status> {
        use v1::revoke_request::What;
        let configuration = self.gate.configuration();
        let message = request.get_ref();
        let approver = self.approver(&configuration, request, message.telegram_id)?;
        let of = |nodes: Vec<ListedNode>| WhichGrants::Nodes(nodes.iter().map(|node| node.uuid.clone()).collect());
        let which = match &message.what {
            Some(What::Node(meant)) => match self.code(&configuration, meant, approver)? {
                Some(one) => one,
                None => of(vec![self.node(&configuration, meant, approver)?]),
            },
            Some(What::Cluster(cluster)) => of(self.meant(&configuration, &[], cluster, approver)?),
            Some(What::All(true)) => of(self.all(&configuration, approver, |_| true)?),
            Some(What::All(false)) | None => return Err(Status::invalid_argument(WHICH)),
        };
        let by = self.voter(request, approver, message.telegram_id)?;
        match self.act(configuration.generation, Act::Revoke { which, by }).await? {
            Answer::Revoked(Ended { ended, withdrawn }) => Ok(v1::RevokeResponse {
                ended: ended.iter().map(message::grant).collect(),
                withdrawn: withdrawn.iter().map(message::proposal).collect(),
            }),
            _ => Ok(v1::RevokeResponse::default()),
        }
    }

    /// The live grant with this code, if there is one. Nodes cannot be called like a code.
    fn code(
        &self,
        configuration: &Configuration,
        meant: &str,
        approver: &Approver,
    ) -> Result<Option<WhichGrants>, Status> {
        let grants = self.gate.grants();
        let Some(grant) = grants.iter().find(|grant| grant.code.to_string().eq_ignore_ascii_case(meant.trim())) else {
            return Ok(None);
        };
        self.node(configuration, grant.node.uuid.as_str(), approver)?;
        Ok(Some(WhichGrants::One(grant.ask)))
    }

    /// The nodes that are meant by their names, or by their cluster, provided that `approver` may answer for them: of a
    /// cluster, those alone.
    fn meant(
        &self,
        configuration: &Configuration,
        named: &[String],
        cluster: &str,
        approver: &Approver,
    ) -> Result<Vec<ListedNode>, Status> {
        if named.is_empty() == cluster.is_empty() || named.len() > MAX_NAMED {
            return Err(Status::invalid_argument(WHICH));
        }
        if cluster.is_empty() {
            let mut nodes: Vec<ListedNode> = Vec::with_capacity(named.len());
            for name in named {
                let node = self.node(configuration, name, approver)?;
                if !nodes.contains(&node) {
                    nodes.push(node);
                }
            }
            return Ok(nodes);
        }
        let nodes = self.all(configuration, approver, |node| node.cluster.as_deref() == Some(cluster))?;
        if nodes.is_empty() { Err(Status::not_found(NO_SUCH_CLUSTER)) } else { Ok(nodes) }
    }

    fn all(
        &self,
        configuration: &Configuration,
        approver: &Approver,
        is_meant: impl Fn(&ListedNode) -> bool,
    ) -> Result<Vec<ListedNode>, Status> {
        let lists = self.admission.lists();
        if lists.generation() != configuration.generation {
            return Err(Status::unavailable(RECONFIGURED));
        }
        let may = |node: &&ListedNode| configuration.policy.requirement(node).approvers.contains(&approver.name);
        Ok(lists.nodes().filter(|node| is_meant(node)).filter(may).cloned().collect())
    }

    /// From where one node will call.
    fn address(&self, written: &str, nodes: usize) -> Result<Option<IpAddr>, Status> {
        if written.is_empty() {
            return Ok(None);
        }
        let address: Option<IpAddr> = written.parse().ok();
        let allowed = address.filter(|address| nodes == 1 && self.admission.allows_address(*address));
        allowed.map(Some).ok_or_else(|| Status::invalid_argument(super::BAD_ADDRESS))
    }
}

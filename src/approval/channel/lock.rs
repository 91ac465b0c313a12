//! Locking, through any channel, and unlocking, on the host alone.

use nightlatch_approval_api::v1;
use tonic::{Request, Status};

use super::{Channel, NOT_LISTED, NOT_THIS_USER, People, connected_uid, message};
use crate::approval::ask::Voter;
use crate::approval::ledger::act::{Act, Answer};
use crate::approval::policy::Vote;

const ON_THE_HOST: &str = "only on the host: nightlatch unlock";
const NO_WAY_BACK: &str = "no channel has people = \"uid\", so that nobody could unlock again";

impl Channel {
    pub(super) async fn lock_everything(&self, request: &Request<v1::LockRequest>) -> Result<v1::LockResponse, Status> {
        let configuration = self.gate.configuration();
        let telegram_id = request.get_ref().telegram_id;
        let approver = self.approver(&configuration, request, telegram_id)?;
        if !self.can_be_unlocked {
            return Err(Status::failed_precondition(NO_WAY_BACK));
        }
        let by = self.voter(request, approver, telegram_id)?;
        match self.act(configuration.generation, Act::Lock { by }).await? {
            Answer::Locked { lock, repeated } => Ok(v1::LockResponse { lock: Some(message::lock(&lock)), repeated }),
            _ => Ok(v1::LockResponse::default()),
        }
    }

    /// Root may as well: a lock that only a person could end who is not on this host would lock everybody out.
    pub(super) async fn end_lock(&self, request: &Request<v1::UnlockRequest>) -> Result<v1::UnlockResponse, Status> {
        let configuration = self.gate.configuration();
        let uid = connected_uid(request)?;
        match self.people {
            People::OwnUser => {}
            People::Telegram { uid: bot } if bot == uid => return Err(Status::permission_denied(ON_THE_HOST)),
            People::Telegram { .. } => return Err(Status::permission_denied(NOT_THIS_USER)),
        }
        let person = configuration.policy.approvers.iter().find(|approver| approver.uid == Some(uid));
        let name: Box<str> = match person {
            Some(approver) => approver.name.clone(),
            // No approver has this name: it has a character that names have not.
            None if uid == 0 => "root (uid 0)".into(),
            None => {
                tracing::warn!(channel = %self.name, uid, "stranger refused");
                return Err(Status::permission_denied(NOT_LISTED));
            }
        };
        let by = Voter { vote: Vote { approver: name, channel: self.name.clone() }, uid, telegram_id: None };
        let unlocked = match self.act(configuration.generation, Act::Unlock { by }).await? {
            Answer::Unlocked(unlocked) => unlocked,
            _ => false,
        };
        Ok(v1::UnlockResponse { unlocked, keys: self.look.overview().keys })
    }
}

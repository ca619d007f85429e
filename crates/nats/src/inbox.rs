//! Inboxes: the only subjects that replies go to.

use async_nats::Subject;

/// Prefix of the inboxes of requesters.
const PREFIX: &str = "_INBOX.";

/// Whether a reply may go to this subject. The server does not check the reply
/// subject of a request, so a requester could have the reply delivered as an
/// event, or as a command to JetStream, with the permissions of the responder.
#[must_use]
pub fn is_inbox(subject: &Subject) -> bool {
    subject.as_str().starts_with(PREFIX)
}

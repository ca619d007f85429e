//! The table of operations: what can be asked of the agent, and how.

use exokit_model::cost::PriceList;
use exokit_model::outputs::Outputs;
use exokit_model::selection::Selection;
use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::reply::{
    AuditReply, DoctorReply, DriftReply, EventsReply, ExportReply, HistoryReply, KeepAliveReply, ListReply,
    OperationReply, OperationsReply, OrphansReply, PlanReply, RosterReply, ShowPlanReply, StatusReply,
    VerifyPricesReply, VerifyReply, VoteReply,
};
use crate::request::{
    AccessRequest, ApproveRequest, AuditRequest, DenyRequest, DoctorRequest, DriftRequest, EventsRequest,
    ExportRequest, ExtendRequest, HistoryRequest, KeepAliveRequest, KubeconfigRequest, ListRequest,
    OperationsRequest, OrphansRequest, OutputsRequest, PlanRequest, PricesRequest, ProvisionRequest,
    ResumeRequest, RosterRequest, SecretsRequest, SelectRequest, ShowPlanRequest, StatusRequest,
    TeardownRequest, VerifyPricesRequest, VerifyRequest,
};
use crate::sealed::SealedReply;

/// What a bearer token allows. None includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Looking.
    Read,
    /// Asking for changes.
    Request,
    /// Handing votes on. They are verified whoever brings them.
    ApproveForward,
    /// Letting parked work go on.
    Admin,
    /// Reading secrets and getting kubeconfigs.
    Access,
}

impl Scope {
    const ALL: [Scope; 5] = [Scope::Read, Scope::Request, Scope::ApproveForward, Scope::Admin, Scope::Access];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Request => "request",
            Scope::ApproveForward => "approve-forward",
            Scope::Admin => "admin",
            Scope::Access => "access",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| {
            format!("{text:?} is no scope: use read, request, approve-forward, admin or access")
        })
    }
}

/// The needs of an operation. Each includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Needs {
    /// The ledger alone.
    Ledger,
    /// Templates and prices, too.
    Templates,
    /// The network, too, without an account.
    Network,
    /// The cloud, too, now or when the operation runs.
    Cloud,
}

/// Method of the HTTP route of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// GET: fields are in the path and in the query.
    Get,
    /// POST: fields are in the path and in the body.
    Post,
}

/// A request: it knows which operation it asks for and what comes back.
pub trait Message: Serialize + DeserializeOwned + Send + 'static {
    /// The operation.
    const VERB: Verb;
    /// Its result.
    type Reply: Serialize + DeserializeOwned + Send + 'static;
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $verb:ident = $subject:literal, $method:ident $path:literal, $scope:ident, $needs:ident,
       $request:ty => $reply:ty;)*) => {
        /// An operation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Verb {
            $($(#[$doc])* $verb,)*
        }

        impl Verb {
            /// Every operation.
            pub const ALL: &[Verb] = &[$(Verb::$verb,)*];

            /// Its subject on NATS.
            #[must_use]
            pub fn subject(self) -> &'static str {
                match self { $(Verb::$verb => concat!("infra.", $subject),)* }
            }

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Verb::$verb => $subject,)* }
            }

            /// The method of its HTTP route.
            #[must_use]
            pub fn method(self) -> HttpMethod {
                match self { $(Verb::$verb => HttpMethod::$method,)* }
            }

            /// Its HTTP route, with parameters in braces.
            #[must_use]
            pub fn path(self) -> &'static str {
                match self { $(Verb::$verb => concat!("/api/v1/", $path),)* }
            }

            /// What a bearer token must allow.
            #[must_use]
            pub fn scope(self) -> Scope {
                match self { $(Verb::$verb => Scope::$scope,)* }
            }

            /// Its needs.
            #[must_use]
            pub fn needs(self) -> Needs {
                match self { $(Verb::$verb => Needs::$needs,)* }
            }

            /// Schema of the body of its request.
            pub(crate) fn request_schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self { $(Verb::$verb => generator.subschema_for::<$request>(),)* }
            }

            /// Schema of its result.
            pub(crate) fn reply_schema(self, generator: &mut SchemaGenerator) -> Schema {
                match self { $(Verb::$verb => generator.subschema_for::<$reply>(),)* }
            }
        }

        $(impl Message for $request {
            const VERB: Verb = Verb::$verb;
            type Reply = $reply;
        })*
    };
}

// No subject is below `infra.events`: requesters may not publish there, and a
// stream of the events would answer in place of the agent.
verbs! {
    /// Which template satisfies the requirements at the lowest price.
    Select = "select", Post "select", Read, Templates, SelectRequest => Selection;
    /// What would be done. Nothing is recorded.
    Plan = "plan", Post "plan", Request, Cloud, PlanRequest => PlanReply;
    /// Makes an environment.
    Provision = "provision", Post "provision", Request, Cloud, ProvisionRequest => OperationReply;
    /// Removes an environment.
    Teardown = "teardown", Post "teardown", Request, Cloud, TeardownRequest => OperationReply;
    /// Lets an environment live longer.
    Extend = "extend", Post "extend", Request, Cloud, ExtendRequest => OperationReply;
    /// Asks for an approval of an access.
    Access = "access", Post "access", Request, Cloud, AccessRequest => OperationReply;
    /// Reads secrets, sealed to the recipient.
    Secrets = "secrets", Post "environments/{environment}/secrets", Access, Cloud,
        SecretsRequest => SealedReply;
    /// Issues a kubeconfig, sealed to the recipient.
    Kubeconfig = "kubeconfig", Post "environments/{environment}/kubeconfig", Access, Cloud,
        KubeconfigRequest => SealedReply;
    /// A sign of life from the owner of an environment.
    KeepAlive = "keep-alive", Post "environments/{environment}/keep-alive", Request, Ledger,
        KeepAliveRequest => KeepAliveReply;
    /// Hands on a vote for a plan.
    Approve = "approve", Post "approve", ApproveForward, Ledger, ApproveRequest => VoteReply;
    /// Hands on a vote against a plan.
    Deny = "deny", Post "deny", ApproveForward, Ledger, DenyRequest => VoteReply;
    /// Where an environment stands.
    Status = "status", Get "environments/{environment}", Read, Ledger, StatusRequest => StatusReply;
    /// Which environments there are.
    List = "status.list", Get "environments", Read, Ledger, ListRequest => ListReply;
    /// A recorded plan, for a voter.
    ShowPlan = "plan.show", Get "plans/{plan}", Read, Ledger, ShowPlanRequest => ShowPlanReply;
    /// Who may approve.
    Roster = "roster", Get "roster", Read, Ledger, RosterRequest => RosterReply;
    /// What happened, in sentences.
    History = "history", Get "history", Read, Ledger, HistoryRequest => HistoryReply;
    /// What was recorded after a point.
    Events = "history.events", Get "events", Read, Ledger, EventsRequest => EventsReply;
    /// Checks an environment against what its template promised.
    Verify = "verify", Get "environments/{environment}/verify", Read, Cloud, VerifyRequest => VerifyReply;
    /// How to reach an environment.
    Outputs = "outputs", Get "environments/{environment}/outputs", Read, Cloud, OutputsRequest => Outputs;
    /// How the cloud differs from what was planned; the comparison is recorded.
    Drift = "drift", Post "environments/{environment}/drift", Request, Cloud, DriftRequest => DriftReply;
    /// What carries the agent's mark and belongs to nothing.
    Orphans = "orphans", Get "orphans", Read, Cloud, OrphansRequest => OrphansReply;
    /// Which operations run or may start now.
    Operations = "operations", Get "operations", Read, Ledger, OperationsRequest => OperationsReply;
    /// Checks ledger, roster, prices and cloud; changes nothing.
    Doctor = "doctor", Get "doctor", Read, Cloud, DoctorRequest => DoctorReply;
    /// The price list in use.
    Prices = "prices", Get "prices", Read, Templates, PricesRequest => PriceList;
    /// Compares the price list in use with the public prices.
    VerifyPrices = "prices.verify", Get "prices/verify", Read, Network,
        VerifyPricesRequest => VerifyPricesReply;
    /// Checks the ledger from its first record.
    Audit = "audit.verify", Post "audit/verify", Read, Ledger, AuditRequest => AuditReply;
    /// The records of the ledger in full, in pages.
    Export = "registry.export", Get "registry/export", Admin, Ledger, ExportRequest => ExportReply;
    /// Lets a parked operation go on, or take back what it made.
    Resume = "resume", Post "environments/{environment}/resume", Admin, Cloud,
        ResumeRequest => OperationReply;
}

impl Verb {
    /// The operation with a subject.
    #[must_use]
    pub fn of_subject(subject: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|verb| verb.subject() == subject)
    }

    /// The parameters in its path.
    pub fn path_parameters(self) -> impl Iterator<Item = &'static str> {
        self.path().split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::APPROVAL_REQUESTED;

    #[test]
    fn no_operation_is_asked_for_where_events_are_published() {
        for verb in Verb::ALL {
            let subject = verb.subject();
            assert!(!subject.starts_with("infra.events.") && subject != APPROVAL_REQUESTED, "{subject}");
        }
    }
}

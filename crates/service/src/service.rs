//! The service: admits, decodes and dispatches each operation of the table.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use exokit_core::select::Priced;
use exokit_engine::engine::Engine;
use exokit_engine::idempotency::body_digest;
use exokit_model::access::RequesterProof;
use exokit_model::canonical::Digest;
use exokit_model::cost::{CostPolicy, PriceList};
use exokit_model::ids::{PersonId, Zone};
use exokit_templates::TemplateSet;
use exokit_wire::decode;
use exokit_wire::envelope::Meta;
use exokit_wire::failure::{Class, Failure};
use exokit_wire::verb::{Message, Verb};
use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::admission::{Admission, Admitted, Limits};
use crate::explain::Doing as _;

/// The requester of a request, and its idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The requester; none when the message names none, which suffices to read.
    pub(crate) person: Option<PersonId>,
    /// How the requester was authenticated.
    pub(crate) proof: RequesterProof,
    /// Identifies repetitions of the request.
    pub(crate) key: Option<RequestKey>,
}

/// An idempotency key, and the request that it came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestKey {
    pub(crate) name: String,
    /// Digest of the body. One key stands for one body.
    pub(crate) body: Digest,
}

impl Caller {
    /// The caller of a request, as named by the message or by a bearer token,
    /// authenticated as `proof` says.
    ///
    /// # Errors
    /// When the body has no canonical form.
    pub fn new(meta: Meta, body: &Map<String, Value>, proof: RequesterProof) -> Result<Self, Failure> {
        let digest = || body_digest(body).doing("reading", "the message");
        let key = meta.idempotency_key.map(|name| Ok(RequestKey { name, body: digest()? })).transpose()?;
        Ok(Self { person: meta.requester, proof, key })
    }

    /// The requester of a change.
    pub(crate) fn requester(&self) -> Result<&PersonId, Failure> {
        self.person.as_ref().ok_or_else(|| {
            let hint = "add \"requester\" with the id of the person or agent who asks";
            Failure::new(Class::Invalid, "requester", "reading the message", "", "nobody asks", hint)
        })
    }
}

/// The policy for selections, and when it was read.
#[derive(Debug)]
pub(crate) struct CachedPolicy {
    pub(crate) at: Timestamp,
    pub(crate) policy: CostPolicy,
}

/// The parts of a service.
pub struct Parts {
    /// The engine.
    pub engine: Engine,
    /// The templates.
    pub templates: TemplateSet,
    /// Prices for estimates.
    pub prices: PriceList,
    /// Zone whose endpoint answers questions about the account.
    pub zone: Zone,
    /// Limits of this process.
    pub limits: Limits,
}

/// The service. Clones share everything.
#[derive(Clone)]
pub struct Service {
    pub(crate) parts: Arc<Parts>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) work: Arc<Notify>,
    /// The templates as the selector sees them.
    pub(crate) priced: Arc<Priced>,
    pub(crate) cached_policy: Arc<Mutex<Option<CachedPolicy>>>,
}

impl Service {
    /// A service made of `parts`.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let admission = Arc::new(Admission::new(parts.limits));
        let priced = Arc::new(Priced::new(parts.templates.candidates(), &parts.prices));
        Self {
            parts: Arc::new(parts),
            admission,
            work: Arc::default(),
            priced,
            cached_policy: Arc::default(),
        }
    }

    /// The engine behind it.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.parts.engine
    }

    /// Admits a request with a message of this length.
    ///
    /// # Errors
    /// `busy` at capacity, in requests or in bytes.
    pub fn admit(&self, verb: Verb, bytes: usize) -> Result<Admitted, Failure> {
        self.admission.admit(verb, bytes)
    }

    /// Admits, strictly decodes and carries out one request, whose requester was
    /// authenticated as `proof` says.
    ///
    /// # Errors
    /// Why the request was not carried out.
    pub async fn answer(
        &self,
        verb: Verb,
        bytes: &[u8],
        proof: RequesterProof,
    ) -> Result<Box<RawValue>, Failure> {
        let admitted = self.admit(verb, bytes.len())?;
        let refused = |error: decode::DecodeError| error.failure(verb.subject());
        let mut fields = decode::object(bytes).map_err(refused)?;
        let meta = decode::meta(&mut fields).map_err(refused)?;
        let caller = Caller::new(meta, &fields, proof)?;
        self.call(admitted, &caller, fields).await
    }

    /// Carries out an admitted request for a caller.
    ///
    /// # Errors
    /// Why the request was not carried out.
    pub async fn call(
        &self,
        admitted: Admitted,
        caller: &Caller,
        fields: Map<String, Value>,
    ) -> Result<Box<RawValue>, Failure> {
        let verb = admitted.verb;
        let on = verb.subject();
        // Boxed: otherwise each request's future would be as large as the largest.
        let work: Work<'_> = match verb {
            Verb::Select => Box::pin(run(fields, on, |m| self.select(m))),
            Verb::Plan => Box::pin(run(fields, on, |m| self.plan(caller, m))),
            Verb::Provision => Box::pin(run(fields, on, |m| self.provision(caller, m))),
            Verb::Teardown => Box::pin(run(fields, on, |m| self.teardown(caller, m))),
            Verb::Extend => Box::pin(run(fields, on, |m| self.extend(caller, m))),
            Verb::Access => Box::pin(run(fields, on, |m| self.request_access(caller, m))),
            Verb::Secrets => Box::pin(run(fields, on, |m| self.secrets(caller, m))),
            Verb::Kubeconfig => Box::pin(run(fields, on, |m| self.kubeconfig(caller, m))),
            Verb::KeepAlive => Box::pin(run(fields, on, |m| self.keep_alive(caller, m))),
            Verb::Approve => Box::pin(run(fields, on, |m| self.approve(m))),
            Verb::Deny => Box::pin(run(fields, on, |m| self.deny(m))),
            Verb::Status => Box::pin(run(fields, on, |m| self.status(m))),
            Verb::List => Box::pin(run(fields, on, |m| self.list(m))),
            Verb::ShowPlan => Box::pin(run(fields, on, |m| self.show_plan(m))),
            Verb::Roster => Box::pin(run(fields, on, |m| self.roster(m))),
            Verb::History => Box::pin(run(fields, on, |m| self.history(m))),
            Verb::Events => Box::pin(run(fields, on, |m| self.events(m))),
            Verb::Verify => Box::pin(run(fields, on, |m| self.verify(m))),
            Verb::Outputs => Box::pin(run(fields, on, |m| self.outputs(m))),
            Verb::Drift => Box::pin(run(fields, on, |m| self.drift(m))),
            Verb::Orphans => Box::pin(run(fields, on, |m| self.orphans(m))),
            Verb::Operations => Box::pin(run(fields, on, |m| self.active_operations(m))),
            Verb::Doctor => Box::pin(run(fields, on, |m| self.doctor(caller, m))),
            Verb::Prices => Box::pin(run(fields, on, |m| self.prices(m))),
            Verb::VerifyPrices => Box::pin(run(fields, on, |m| self.verify_prices(m))),
            Verb::Audit => Box::pin(run(fields, on, |m| self.audit(m))),
            Verb::Export => Box::pin(run(fields, on, |m| self.export(m))),
            Verb::Resume => Box::pin(run(fields, on, |m| self.resume(caller, m))),
        };
        work.await
    }
}

/// The future of one request.
type Work<'a> = Pin<Box<dyn Future<Output = Result<Box<RawValue>, Failure>> + Send + 'a>>;

/// Decodes a body, carries out the request, and encodes the result.
async fn run<M: Message, F>(
    fields: Map<String, Value>,
    on: &str,
    work: impl FnOnce(M) -> F,
) -> Result<Box<RawValue>, Failure>
where
    F: Future<Output = Result<M::Reply, Failure>>,
{
    let message = decode::body(fields).map_err(|error| error.failure(on))?;
    let result = work(message).await?;
    to_raw_value(&result).map_err(|error| {
        let hint = "this is a mistake in exokit; please report it";
        Failure::new(Class::Internal, "encoding", "writing the reply of", on, &error.to_string(), hint)
    })
}

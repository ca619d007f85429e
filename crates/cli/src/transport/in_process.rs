//! The transport within this process: the service on a state directory.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use exokit_client::{Request, Transport, TransportError};
use exokit_engine::engine::NoWatcher;
use exokit_model::access::RequesterProof;
use exokit_model::ids::OperationId;
use exokit_service::Service;
use exokit_service::admission::Limits;
use exokit_wire::failure::Failure;
use exokit_wire::verb::{Needs, Verb};
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::embedded::Cloud;
use crate::error::{CliError, Doing as _};
use crate::session::Session;
use crate::settings::Settings;
use crate::state_dir::StateDir;

/// Pause between two looks at the ledger for news.
const POLL: Duration = Duration::from_millis(25);

/// The service of this host. It opens what a request needs, when it needs it.
pub(crate) struct InProcess {
    settings: Settings,
    steps_at_once: Option<NonZeroUsize>,
    address: String,
    opened: Mutex<Option<Opened>>,
}

struct Opened {
    needs: Needs,
    service: Service,
    session: Session,
    /// Where there is no state directory: an empty one that goes away.
    _temporary: Option<TempDir>,
}

impl InProcess {
    /// The service on the state directory of the settings; each operation has
    /// at most so many steps under way at once.
    pub(crate) fn new(settings: &Settings, steps_at_once: Option<NonZeroUsize>) -> Self {
        let address = match &settings.workspace {
            Ok(workspace) => workspace.state.root().display().to_string(),
            Err(_) => "this host".to_owned(),
        };
        Self { settings: settings.clone(), steps_at_once, address, opened: Mutex::default() }
    }

    async fn service(&self, needs: Needs) -> Result<Service, CliError> {
        let mut opened = self.opened.lock().await;
        if let Some(opened) = opened.as_ref().filter(|opened| opened.needs >= needs) {
            return Ok(opened.service.clone());
        }
        let settings = &self.settings;
        // Opened first: a request without the credentials that it needs makes no
        // state directory.
        let cloud = match needs {
            Needs::Ledger | Needs::Templates => None,
            Needs::Network => Some(Cloud::without_account(settings)?),
            Needs::Cloud => Some(Cloud::open(settings)?),
        };
        let (mut session, temporary) = match opened.take() {
            Some(opened) => (opened.session, opened._temporary),
            None => self.session(needs).await?,
        };
        if let Some(cloud) = cloud {
            session = session.with_cloud(cloud, self.steps_at_once, Arc::new(NoWatcher));
        }
        let service = match needs {
            Needs::Ledger => session.service_of_ledger(),
            Needs::Templates | Needs::Network | Needs::Cloud => {
                session.service(settings, Limits::default())?
            }
        };
        *opened = Some(Opened { needs, service: service.clone(), session, _temporary: temporary });
        Ok(service)
    }

    /// Opens the state directory, or a temporary one for a request that needs neither
    /// ledger nor account.
    async fn session(&self, needs: Needs) -> Result<(Session, Option<TempDir>), CliError> {
        if self.settings.workspace.is_ok() || matches!(needs, Needs::Ledger | Needs::Cloud) {
            return Ok((Session::open(&self.settings).await?, None));
        }
        let folder = tempfile::tempdir().doing("making", "a temporary state directory")?;
        let state = StateDir::new(folder.path().to_owned());
        Ok((Session::open_state(&self.settings, &state, None).await?, Some(folder)))
    }
}

/// The needs of a request. Some checks do without the cloud.
fn needs(request: &Request) -> Needs {
    match request.verb {
        Verb::Doctor if request.fields.get("skip_cloud").is_some_and(|skip| skip == true) => Needs::Templates,
        verb => verb.needs(),
    }
}

#[async_trait]
impl Transport for InProcess {
    fn address(&self) -> &str {
        &self.address
    }

    async fn send(
        &self,
        request: &Request,
        _timeout: Duration,
    ) -> Result<Result<Box<RawValue>, Failure>, TransportError> {
        let message = request.to_message()?;
        Ok(match self.service(needs(request)).await {
            Ok(service) => service.answer(request.verb, message.as_bytes(), RequesterProof::Local).await,
            Err(error) => Err(error.into()),
        })
    }

    fn poll_interval(&self) -> Duration {
        POLL
    }

    async fn run(&self, operation: &OperationId) -> Result<(), Failure> {
        self.service(Needs::Cloud).await?.run(operation).await
    }

    async fn expire(&self) -> Vec<Failure> {
        match self.service(Needs::Cloud).await {
            Ok(service) => service.expire().await,
            Err(error) => vec![error.into()],
        }
    }
}

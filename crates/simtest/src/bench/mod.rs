//! What the benchmarks share: a cloud without quotas, the critical path of the
//! latencies that were really drawn, and how the program's own costs are read.

pub mod critical;
pub mod figures;
pub mod process;
pub mod provision;

use exokit_engine::propose::ProvisionRequest;
use exokit_model::ids::InvalidId;
use exokit_sim::{Config, LatencyTable};

use crate::rig::request;

/// Exit code of a benchmark that measured well and missed a limit: what it
/// printed stands, and it has failed.
pub const MISSED: u8 = 3;

/// Why a measurement could not be made.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// How long the simulated cloud takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Latencies {
    /// Every operation takes the middle of its measured range.
    Middle,
    /// Every operation takes a draw from its measured range, with this seed.
    Drawn(u64),
}

impl Latencies {
    /// A cloud that takes so long and refuses nothing for lack of quota.
    #[must_use]
    pub fn config(self) -> Config {
        let config = match self {
            Latencies::Middle => Config { latency: LatencyTable::fixed(), ..Config::default() },
            Latencies::Drawn(seed) => Config { seed, ..Config::default() },
        };
        without_quotas(config)
    }
}

/// The same cloud with every quota lifted.
#[must_use]
pub fn without_quotas(mut config: Config) -> Config {
    config.quotas.values_mut().for_each(|quota| *quota = -1);
    config
}

/// The request for a template under a name of its own.
///
/// # Errors
/// When it is no name for an environment.
///
/// # Panics
/// When there is no such template.
pub fn named(template: u16, name: &str) -> Result<ProvisionRequest, InvalidId> {
    let mut request = request(template);
    request.spec.environment = name.parse()?;
    Ok(request)
}

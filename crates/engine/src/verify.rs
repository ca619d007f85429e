//! Verification of an environment: gathers the evidence from cloud, cluster and
//! ledger for the checks of `exokit-verification`.

use std::collections::BTreeMap;

use exokit_cloud::cluster::ClusterAccess;
use exokit_core::plan_build::Recorded;
use exokit_kinds::Observed;
use exokit_ledger::{Filter, OperationState};
use exokit_model::additions::ClusterAdditions;
use exokit_model::canonical::to_canonical_bytes;
use exokit_model::cost::ApprovalLevel;
use exokit_model::ids::{EnvironmentName, ResourceId, TemplateId, Zone};
use exokit_model::kind::Kind;
use exokit_model::phase::Phase;
use exokit_model::secret_slot::SecretValue;
use exokit_model::verification::Check;
use exokit_verification::{BucketEvidence, Evidence, ProvisionEvidence, checks};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::access::slots;
use crate::engine::Engine;
use crate::environment::EnvironmentState;
use crate::error::EngineError;
use crate::observe::{self, ObserveError};

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Which environment.
    pub environment: EnvironmentName,
    /// What it is made from.
    pub template: TemplateId,
    /// Every check.
    pub checks: Vec<Check>,
}

impl Engine {
    /// Checks an environment against what its template promised. It records
    /// nothing. `level_of` knows the approval levels of templates; for one that it
    /// does not know the level of the plan counts.
    ///
    /// # Errors
    /// When there is no such environment, or cloud, cluster or ledger cannot be
    /// read.
    pub async fn verify(
        &self,
        name: &EnvironmentName,
        level_of: impl Fn(TemplateId) -> Option<ApprovalLevel>,
    ) -> Result<Verification, EngineError> {
        let environment = self.environment(name).await?;
        let no_environment = || EngineError::NoEnvironment(name.clone());
        let provision = environment.provision().ok_or_else(no_environment)?;
        let spec = provision.plan.spec.as_ref().ok_or_else(no_environment)?;
        let zone = &spec.zone;
        self.check_account(zone).await?;
        let recorded = environment.recorded();
        let mut evidence = self.evidence_of_resources(&recorded, zone).await?;
        evidence.instance_types = self.instance_types(zone).await?;
        evidence.provision = self.evidence_of_provision(provision).await?;
        if let Some(cluster) = recorded.iter().find(|item| item.node.kind == Kind::SksCluster) {
            if let Some(access) = self.read_access(zone, &cluster.id).await? {
                let namespace = &spec.workload.namespace;
                evidence.objects = self.evidence_objects(&access, &cluster.id, namespace, zone).await?;
            }
            evidence.nodepools = self.nodepools(&evidence, &cluster.id, zone).await?;
        }
        evidence.security_groups = self.security_groups(&evidence.nodepools, zone).await?;
        self.add_made_by_controllers(&mut evidence, &environment, zone).await?;
        let default_level = level_of(spec.template).unwrap_or(provision.plan.level);
        let checks = checks(spec, default_level, &evidence);
        Ok(Verification { environment: name.clone(), template: spec.template, checks })
    }

    async fn evidence_of_resources(
        &self,
        recorded: &[Recorded],
        zone: &Zone,
    ) -> Result<Evidence, EngineError> {
        let client = &self.parts().client;
        let mut evidence = Evidence::default();
        for item in recorded {
            match item.node.kind {
                Kind::SksCluster => {
                    let seen = observe::get(client, item.node.kind, &item.id, None, zone).await?;
                    evidence.cluster = seen.map(|seen| seen.raw);
                }
                Kind::DbaasPg | Kind::DbaasValkey => {
                    let seen = observe::get(client, item.node.kind, &item.id, None, zone).await?;
                    evidence.databases.extend(seen.map(|seen| seen.raw));
                }
                Kind::SosBucket => {
                    let is_public = client.is_public_bucket(zone, &item.id).await;
                    let is_public =
                        is_public.map_err(|source| ObserveError::call("get-bucket-acl", zone, source))?;
                    evidence.buckets.push(BucketEvidence { name: item.id.to_string(), is_public });
                }
                _ => {}
            }
        }
        Ok(evidence)
    }

    async fn instance_types(&self, zone: &Zone) -> Result<BTreeMap<String, String>, EngineError> {
        let catalog = self.catalog(zone).await?;
        let named = catalog.instance_types.iter();
        Ok(named.map(|(name, id)| (id.to_string(), name.replace('/', "."))).collect())
    }

    async fn evidence_of_provision(
        &self,
        provision: &OperationState,
    ) -> Result<ProvisionEvidence, EngineError> {
        let environment = Filter::Environment(provision.plan.environment.clone());
        let records = self.parts().ledger.read(environment, 0).await?;
        let text = String::from_utf8_lossy(&to_canonical_bytes("the records", &records)?).into_owned();
        let mut secrets_in_ledger = Vec::new();
        for slot in slots(provision) {
            if matches!(slot.value, SecretValue::AccessKey | SecretValue::DatabaseUser) {
                continue;
            }
            let secret = self.secret(provision, &slot).await?;
            if secret.is_some_and(|secret| text.contains(secret.expose_secret())) {
                secrets_in_ledger.push(slot.value.to_string());
            }
        }
        Ok(ProvisionEvidence {
            succeeded: provision.phase == Phase::Succeeded,
            approved_level: self.approved_level(provision).await?,
            secrets_in_ledger,
        })
    }

    /// The level for which the recorded votes verified when it began; none when
    /// they did not.
    async fn approved_level(&self, provision: &OperationState) -> Result<Option<ApprovalLevel>, EngineError> {
        let Some(started_at) = provision.started_at else { return Ok(None) };
        let verifier = self.verifier().await?;
        let quorum = verifier.quorum(&provision.plan, &provision.tokens, started_at);
        Ok(quorum.is_ok().then_some(provision.plan.level))
    }

    async fn evidence_objects(
        &self,
        access: &ClusterAccess,
        cluster: &ResourceId,
        namespace: &str,
        zone: &Zone,
    ) -> Result<Vec<Value>, ObserveError> {
        let mut objects = Vec::new();
        for (kind, path) in exokit_kinds::kubernetes::lists_for_verification(namespace) {
            let client = &self.parts().client;
            let found = observe::all_items(client, access, (&kind, &path), cluster, zone).await?;
            objects.extend(found.into_iter().map(|mut object| {
                // Items of a list do not say their kind.
                object["kind"] = Value::from(&*kind);
                object
            }));
        }
        Ok(objects)
    }

    /// The nodepools that the cluster itself lists.
    async fn nodepools(
        &self,
        evidence: &Evidence,
        cluster: &ResourceId,
        zone: &Zone,
    ) -> Result<Vec<Value>, ObserveError> {
        let mut found = Vec::new();
        for id in ids(evidence.cluster.as_ref(), "nodepools") {
            let seen =
                observe::get(&self.parts().client, Kind::SksNodepool, &id, Some(cluster), zone).await?;
            found.extend(seen.map(|seen| seen.raw));
        }
        Ok(found)
    }

    async fn security_groups(&self, nodepools: &[Value], zone: &Zone) -> Result<Vec<Value>, ObserveError> {
        let mut found = Vec::new();
        for id in nodepools.iter().flat_map(|pool| ids(Some(pool), "security-groups")) {
            let seen = observe::get(&self.parts().client, Kind::SecurityGroup, &id, None, zone).await?;
            found.extend(seen.map(|seen| seen.raw));
        }
        Ok(found)
    }

    async fn add_made_by_controllers(
        &self,
        evidence: &mut Evidence,
        environment: &EnvironmentState,
        zone: &Zone,
    ) -> Result<(), EngineError> {
        let made = self.made_by_controllers(environment, &ClusterAdditions::default(), zone).await?;
        for Observed { kind, raw, .. } in made {
            match kind {
                Kind::LoadBalancer => evidence.load_balancers.push(raw),
                Kind::BlockVolume => evidence.volumes.push(raw),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The ids in a list of a document.
fn ids(document: Option<&Value>, list: &str) -> Vec<ResourceId> {
    let items = document.and_then(|document| document[list].as_array()).into_iter().flatten();
    items.filter_map(|item| item["id"].as_str()?.parse().ok()).collect()
}

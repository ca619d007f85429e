//! Reading what the cloud offers, just before planning.

use std::collections::BTreeMap;

use exokit_cloud::reply::Reply;
use exokit_model::catalog::{Catalog, DatabaseOffer};
use exokit_model::ids::{ResourceId, Zone};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::observe::ObserveError;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Zones {
    zones: Vec<ZoneEntry>,
}

#[derive(Deserialize)]
struct ZoneEntry {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct InstanceTypes {
    instance_types: Vec<InstanceType>,
}

#[derive(Deserialize)]
struct InstanceType {
    id: ResourceId,
    family: String,
    size: String,
    #[serde(default)]
    authorized: bool,
    #[serde(default)]
    zones: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct SksVersions {
    sks_cluster_versions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ServiceTypes {
    dbaas_service_types: Vec<ServiceType>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ServiceType {
    name: String,
    #[serde(default)]
    available_versions: Vec<String>,
    #[serde(default)]
    default_version: Option<String>,
    #[serde(default)]
    plans: Vec<ServicePlan>,
}

#[derive(Deserialize)]
struct ServicePlan {
    name: String,
    #[serde(default = "yes")]
    authorized: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Organization {
    id: ResourceId,
}

#[derive(Deserialize)]
struct Quotas {
    quotas: Vec<Quota>,
}

#[derive(Deserialize)]
struct Quota {
    resource: String,
    #[serde(default)]
    usage: i64,
    limit: i64,
}

impl Engine {
    /// What the cloud offers in a zone. The list of zones comes from that
    /// zone's own endpoint, so a zone that does not exist cannot be asked: use
    /// [`Engine::zones`] first.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn catalog(&self, zone: &Zone) -> Result<Catalog, EngineError> {
        // At once: who waits for a plan waits for one round trip.
        let (types, versions, databases, quotas): (InstanceTypes, SksVersions, ServiceTypes, Quotas) = tokio::try_join!(
            self.offer(zone, "list-instance-types", "/v2/instance-type"),
            self.offer(zone, "list-sks-cluster-versions", "/v2/sks-cluster-version"),
            self.offer(zone, "list-dbaas-service-types", "/v2/dbaas-service-type"),
            self.offer(zone, "list-quotas", "/v2/quota"),
        )?;
        let here = |kind: &InstanceType| {
            kind.zones.is_empty() || kind.zones.iter().any(|name| name == zone.as_str())
        };
        Ok(Catalog {
            zones: self.zones(zone).await?.into_iter().collect(),
            instance_types: types
                .instance_types
                .into_iter()
                .filter(|kind| kind.authorized && here(kind))
                .map(|kind| (format!("{}/{}", kind.family, kind.size), kind.id))
                .collect(),
            sks_versions: versions.sks_cluster_versions,
            databases: databases.dbaas_service_types.into_iter().map(offer_of).collect(),
            quota_free: free(quotas),
        })
    }

    /// The organisation that the credentials belong to.
    pub(crate) async fn organization(&self, through: &Zone) -> Result<ResourceId, EngineError> {
        let organization: Organization = self.offer(through, "get-organization", "/v2/organization").await?;
        Ok(organization.id)
    }

    /// The zones of the cloud, asked of the endpoint of `through`.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn zones(&self, through: &Zone) -> Result<Vec<Zone>, EngineError> {
        let zones: Zones = self.offer(through, "list-zones", "/v2/zone").await?;
        // A name that is no zone name to us cannot be asked for either.
        Ok(zones.zones.into_iter().filter_map(|zone| zone.name.parse().ok()).collect())
    }

    /// The prices per hour and unit that the cloud publishes, by item.
    ///
    /// # Errors
    /// When they cannot be fetched or have another format.
    pub async fn public_prices(&self, currency: &str) -> Result<BTreeMap<String, Decimal>, EngineError> {
        Ok(self.parts().client.public_prices(currency).await?)
    }

    async fn offer<T: serde::de::DeserializeOwned>(
        &self,
        zone: &Zone,
        operation: &str,
        path: &str,
    ) -> Result<T, ObserveError> {
        let failed = |source| ObserveError::call(operation, zone, source);
        let reply: Reply = self.parts().client.read(zone, operation, path).await.map_err(failed)?;
        reply.decode().map_err(|error| failed(error.into()))
    }
}

fn offer_of(service: ServiceType) -> (String, DatabaseOffer) {
    let plans = service.plans.into_iter().filter(|plan| plan.authorized).map(|plan| plan.name).collect();
    let offer = DatabaseOffer {
        versions: service.available_versions,
        default_version: service.default_version,
        plans,
    };
    (service.name, offer)
}

fn free(quotas: Quotas) -> BTreeMap<String, i64> {
    let limited = quotas.quotas.into_iter().filter(|quota| quota.limit >= 0);
    limited.map(|quota| (quota.resource, quota.limit - quota.usage)).collect()
}

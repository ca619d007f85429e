//! Deployments: one program, its one container and how it is replaced.

use std::collections::BTreeMap;

use exokit_model::kind::Kind;
use exokit_model::spec::{Quantities, ResourcesSpec};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVar, LocalObjectReference, PodAffinity, PodAffinityTerm, PodSpec,
    PodTemplateSpec, ResourceRequirements, TopologySpreadConstraint,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::app::App;
use crate::builder::{Builder, NODEPOOL};
use crate::labels::{labels, metadata, pod_selector};
use crate::namespace::{LIMITS, QUOTA};
use crate::network_policy::DENY_ALL;
use crate::pod::{Check, Mount, container_port, container_security, pod_security};
use crate::quantity::amounts;

/// Pods beyond the replicas during a rollout: one that starts, and one that
/// terminates and still counts against the quota.
const PODS_BESIDE: u64 = 2;

/// Label of the node that a pod runs on.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// How a rollout replaces the pods of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// A new pod is ready before an old one terminates.
    Rolling,
    /// All old pods terminate before a new one starts, because only one pod at
    /// a time can use the volume.
    Recreate,
}

/// Where the pods of a deployment run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Anywhere.
    Anywhere,
    /// On as many nodes as there are.
    Spread,
    /// All on one node, because a volume is attached to one node at a time.
    Together,
}

/// What a deployment is made from.
pub(crate) struct DeploymentPlan {
    pub(crate) app: App,
    pub(crate) image: String,
    pub(crate) user: i64,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<EnvVar>,
    /// Names and numbers of its ports.
    pub(crate) ports: Vec<(&'static str, u16)>,
    pub(crate) check: Check,
    pub(crate) resources: ResourcesSpec,
    pub(crate) mounts: Vec<Mount>,
    /// Number of pods; none leaves it to the autoscaler.
    pub(crate) replicas: Option<u32>,
    /// Largest number of pods.
    pub(crate) replicas_max: u32,
    pub(crate) replacement: Replacement,
    pub(crate) placement: Placement,
    /// Whether it talks to the API server.
    pub(crate) uses_api: bool,
    /// Annotations of the deployment.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Annotations of its pods.
    pub(crate) pod_annotations: BTreeMap<String, String>,
    /// Keys of the config maps, secrets and claims that its pods use.
    pub(crate) uses: Vec<&'static str>,
    /// Name of the secret that the image is pulled with, if it takes one.
    pub(crate) pulled_with: Option<&'static str>,
}

impl DeploymentPlan {
    /// One pod that runs anywhere. It has no arguments, no ports, and one
    /// volume, for temporary files.
    pub(crate) fn new(app: App, image: String, user: i64, check: Check, resources: ResourcesSpec) -> Self {
        Self {
            app,
            image,
            user,
            args: Vec::new(),
            env: Vec::new(),
            ports: Vec::new(),
            check,
            resources,
            mounts: vec![Mount::tmp()],
            replicas: Some(1),
            replicas_max: 1,
            replacement: Replacement::Rolling,
            placement: Placement::Anywhere,
            uses_api: false,
            annotations: BTreeMap::new(),
            pod_annotations: BTreeMap::new(),
            uses: Vec::new(),
            pulled_with: None,
        }
    }

    /// Adds the deployment and counts its pods.
    ///
    /// # Assumptions
    /// The builder already has the app's service account and network policy.
    pub(crate) fn add_to(self, builder: &mut Builder<'_>) {
        builder.count_pods(u64::from(self.replicas_max) + PODS_BESIDE, &self.resources);
        let key = self.app.key();
        // Policies and limits are in force before the first pod starts.
        let mut before = vec![QUOTA.to_owned(), LIMITS.to_owned(), DENY_ALL.to_owned()];
        before.extend([format!("{key}-policy"), format!("{key}-account")]);
        before.extend(self.uses_api.then(|| format!("{key}-role-binding")));
        before.extend(self.uses.iter().map(|key| (*key).to_owned()));
        let before: Vec<&str> = before.iter().map(String::as_str).collect();
        builder.add_on(&[NODEPOOL], key, Kind::Deployment, &self.deployment(builder), &before);
    }

    fn deployment(&self, builder: &Builder<'_>) -> Deployment {
        let spec = builder.spec;
        let name = self.app.name(spec);
        let pod_metadata = ObjectMeta {
            labels: Some(labels(spec, &name)),
            annotations: present(&self.pod_annotations),
            ..ObjectMeta::default()
        };
        Deployment {
            metadata: ObjectMeta {
                annotations: present(&self.annotations),
                ..metadata(spec, self.app, &name)
            },
            spec: Some(DeploymentSpec {
                replicas: self.replicas.map(count),
                selector: pod_selector(spec, self.app),
                strategy: Some(self.strategy()),
                template: PodTemplateSpec { metadata: Some(pod_metadata), spec: Some(self.pod(builder)) },
                ..DeploymentSpec::default()
            }),
            ..Deployment::default()
        }
    }

    fn strategy(&self) -> DeploymentStrategy {
        let (name, rolling_update) = match self.replacement {
            Replacement::Rolling => {
                let (max_surge, max_unavailable) = (Some(IntOrString::Int(1)), Some(IntOrString::Int(0)));
                ("RollingUpdate", Some(RollingUpdateDeployment { max_surge, max_unavailable }))
            }
            Replacement::Recreate => ("Recreate", None),
        };
        DeploymentStrategy { type_: Some(name.to_owned()), rolling_update }
    }

    fn pod(&self, builder: &Builder<'_>) -> PodSpec {
        let spec = builder.spec;
        let selector = pod_selector(spec, self.app);
        let spread = TopologySpreadConstraint {
            label_selector: Some(selector.clone()),
            max_skew: 1,
            topology_key: HOSTNAME.to_owned(),
            when_unsatisfiable: "ScheduleAnyway".to_owned(),
            ..TopologySpreadConstraint::default()
        };
        let together = PodAffinityTerm {
            label_selector: Some(selector),
            topology_key: HOSTNAME.to_owned(),
            ..PodAffinityTerm::default()
        };
        let together = PodAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![together]),
            ..PodAffinity::default()
        };
        let affinity = Affinity { pod_affinity: Some(together), ..Affinity::default() };
        PodSpec {
            service_account_name: Some(self.app.name(spec)),
            automount_service_account_token: Some(self.uses_api),
            // Service links add variables for every Service of the namespace,
            // and some programs read those as their own settings.
            enable_service_links: Some(false),
            security_context: Some(pod_security(self.user, &self.ports)),
            termination_grace_period_seconds: Some(30),
            affinity: (self.placement == Placement::Together).then_some(affinity),
            topology_spread_constraints: (self.placement == Placement::Spread).then(|| vec![spread]),
            image_pull_secrets: self
                .pulled_with
                .map(|name| vec![LocalObjectReference { name: name.to_owned() }]),
            containers: vec![self.container()],
            volumes: Some(self.mounts.iter().map(Mount::volume).collect()),
            ..PodSpec::default()
        }
    }

    fn container(&self) -> Container {
        let some = |list: &[EnvVar]| (!list.is_empty()).then(|| list.to_vec());
        Container {
            name: self.app.key().to_owned(),
            image: Some(self.image.clone()),
            args: (!self.args.is_empty()).then(|| self.args.clone()),
            env: some(&self.env),
            ports: Some(self.ports.iter().map(|port| container_port(*port)).collect()),
            startup_probe: Some(self.check.startup()),
            readiness_probe: Some(self.check.readiness()),
            liveness_probe: Some(self.check.liveness()),
            resources: Some(ResourceRequirements {
                requests: Some(amounts(&self.resources.requests)),
                limits: Some(amounts(&self.resources.limits)),
                claims: None,
            }),
            security_context: Some(container_security()),
            volume_mounts: Some(self.mounts.iter().map(Mount::volume_mount).collect()),
            ..Container::default()
        }
    }
}

/// Requests and limits of CPU and memory.
pub(crate) fn resources(requests: (&str, &str), limits: (&str, &str)) -> ResourcesSpec {
    let pair = |(cpu, memory): (&str, &str)| Quantities { cpu: cpu.to_owned(), memory: memory.to_owned() };
    ResourcesSpec { requests: pair(requests), limits: pair(limits) }
}

/// Converts a number to the integer type of Kubernetes.
pub(crate) fn count(replicas: u32) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}

fn present(annotations: &BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    (!annotations.is_empty()).then(|| annotations.clone())
}

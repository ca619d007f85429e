//! Parts of pods: security, probes, volumes and environment variables.

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource,
    HTTPGetAction, KeyToPath, PersistentVolumeClaimVolumeSource, PodSecurityContext, Probe, SeccompProfile,
    SecretKeySelector, SecurityContext, Sysctl, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// User id of containers whose image needs no particular one.
pub(crate) const USER: i64 = 65_532;

/// A volume and where the container sees it.
#[derive(Debug, Clone)]
pub(crate) struct Mount {
    /// Name of the volume.
    pub(crate) name: &'static str,
    /// Path in the container.
    pub(crate) path: String,
    /// Content.
    pub(crate) source: MountSource,
}

/// Content of a volume.
#[derive(Debug, Clone)]
pub(crate) enum MountSource {
    /// An empty directory that lives as long as its pod, with a size limit.
    Scratch(&'static str),
    /// The volume of a claim, by the claim's name.
    Claim(String),
    /// Files of a config map: its name, and a key and a path for each file.
    Files(String, Vec<(&'static str, &'static str)>),
}

impl Mount {
    /// A writable directory for temporary files.
    pub(crate) fn tmp() -> Self {
        Self { name: "tmp", path: "/tmp".to_owned(), source: MountSource::Scratch("64Mi") }
    }

    pub(crate) fn volume(&self) -> Volume {
        let mut volume = Volume { name: self.name.to_owned(), ..Volume::default() };
        match &self.source {
            MountSource::Scratch(size) => {
                let size_limit = Some(Quantity((*size).to_owned()));
                volume.empty_dir = Some(EmptyDirVolumeSource { size_limit, medium: None });
            }
            MountSource::Claim(name) => {
                let source = PersistentVolumeClaimVolumeSource { claim_name: name.clone(), read_only: None };
                volume.persistent_volume_claim = Some(source);
            }
            MountSource::Files(name, files) => {
                let item = |(key, path): &(&str, &str)| KeyToPath {
                    key: (*key).to_owned(),
                    path: (*path).to_owned(),
                    mode: None,
                };
                volume.config_map = Some(ConfigMapVolumeSource {
                    name: name.clone(),
                    items: Some(files.iter().map(item).collect()),
                    ..ConfigMapVolumeSource::default()
                });
            }
        }
        volume
    }

    pub(crate) fn volume_mount(&self) -> VolumeMount {
        VolumeMount {
            name: self.name.to_owned(),
            mount_path: self.path.clone(),
            read_only: matches!(self.source, MountSource::Files(..)).then_some(true),
            ..VolumeMount::default()
        }
    }
}

/// How the kubelet probes a container.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    /// It accepts connections on the named port.
    Tcp(&'static str),
    /// It answers on the named port and the path.
    Http(&'static str, String),
}

impl Check {
    /// Allows five minutes, because a program may migrate a database first.
    pub(crate) fn startup(&self) -> Probe {
        self.probe(5, 60)
    }

    pub(crate) fn readiness(&self) -> Probe {
        self.probe(5, 3)
    }

    pub(crate) fn liveness(&self) -> Probe {
        self.probe(10, 3)
    }

    fn probe(&self, period: i32, failures: i32) -> Probe {
        let port = |name: &str| IntOrString::String(name.to_owned());
        let mut probe = Probe {
            period_seconds: Some(period),
            failure_threshold: Some(failures),
            timeout_seconds: Some(2),
            ..Probe::default()
        };
        match self {
            Check::Tcp(name) => probe.tcp_socket = Some(TCPSocketAction { port: port(name), host: None }),
            Check::Http(name, path) => {
                let path = Some(path.clone());
                probe.http_get = Some(HTTPGetAction { port: port(name), path, ..HTTPGetAction::default() });
            }
        }
        probe
    }
}

/// The lowest port that a process can listen on without privileges.
const PORT_MIN: u16 = 1024;

/// Security context of a pod at the restricted Pod Security level. It is the
/// same in every environment, so a workload that runs in one runs in all.
pub(crate) fn pod_security(user: i64, ports: &[(&'static str, u16)]) -> PodSecurityContext {
    // Allows a workload to listen on port 80 without a capability.
    let low_port = Sysctl { name: "net.ipv4.ip_unprivileged_port_start".to_owned(), value: "0".to_owned() };
    PodSecurityContext {
        sysctls: ports.iter().any(|(_, port)| *port < PORT_MIN).then(|| vec![low_port]),
        run_as_non_root: Some(true),
        run_as_user: Some(user),
        run_as_group: Some(user),
        fs_group: Some(user),
        // The default changes every file of the volume at each start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

/// Security context of a container at the restricted level.
pub(crate) fn container_security() -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

/// A named TCP port of a container.
pub(crate) fn container_port((name, port): (&str, u16)) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: i32::from(port),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// An environment variable.
pub(crate) fn variable(name: &str, value: impl Into<String>) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.into()), value_from: None }
}

/// An environment variable that holds a key of a secret.
pub(crate) fn secret_variable(name: &str, secret: &str, key: &str) -> EnvVar {
    let reference = SecretKeySelector { name: secret.to_owned(), key: key.to_owned(), optional: None };
    let source = EnvVarSource { secret_key_ref: Some(reference), ..EnvVarSource::default() };
    EnvVar { name: name.to_owned(), value: None, value_from: Some(source) }
}

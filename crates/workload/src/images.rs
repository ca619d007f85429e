//! The bundled container images. No other file names one.

/// A bundled container image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Registry and repository.
    pub name: &'static str,
    /// Tag.
    pub version: &'static str,
    /// Digest of its index for all architectures: what is pulled, whatever the
    /// tag means by then.
    pub digest: &'static str,
    /// License of the program, as an SPDX expression.
    pub license: &'static str,
    /// Purpose, in a few words.
    pub purpose: &'static str,
}

impl Image {
    /// The reference that a container names.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}:{}@{}", self.name, self.version, self.digest)
    }
}

/// The ingress controller.
pub(crate) const TRAEFIK: Image = Image {
    name: "docker.io/library/traefik",
    version: "v3.7.13",
    digest: "sha256:24841fe2de7304c149343d877d2923b4c8800a38ba015dea9174c23b20e344a0",
    license: "MIT",
    purpose: "Ingress controller",
};

/// Metrics.
pub(crate) const PROMETHEUS: Image = Image {
    name: "docker.io/prom/prometheus",
    version: "v3.14.0",
    digest: "sha256:5ce7540c3c00ef4ab0c9d2c995c6a5b9c421f44b4a115d97a2c7af3b1c21cbb0",
    license: "Apache-2.0",
    purpose: "Collects and stores metrics",
};

/// Logs.
pub(crate) const LOKI: Image = Image {
    name: "docker.io/grafana/loki",
    version: "3.7.7",
    digest: "sha256:d70e4659623f3e109af669cae76fe2a5dd5be54e2298fe8aed380d982fbc2500",
    license: "AGPL-3.0-only",
    purpose: "Stores logs",
};

/// The log shipper.
pub(crate) const ALLOY: Image = Image {
    name: "docker.io/grafana/alloy",
    version: "v1.19.2",
    digest: "sha256:b8ec653c44235fbe910879145dac3597d66b0aaecf60bcbbe82580767771a839",
    license: "Apache-2.0",
    purpose: "Ships the logs of pods to Loki",
};

/// Dashboards.
pub(crate) const GRAFANA: Image = Image {
    name: "docker.io/grafana/grafana",
    version: "13.2.1",
    digest: "sha256:f772d434e8fab0049deb2b1b30abd43342bcfca1537614aa8d36080232cf4283",
    license: "AGPL-3.0-only",
    purpose: "Dashboards, where the workload is not Grafana itself",
};

/// Every bundled image.
pub const IMAGES: [Image; 5] = [TRAEFIK, PROMETHEUS, LOKI, ALLOY, GRAFANA];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bundled_image_is_pinned() {
        for image in IMAGES {
            let hex = image.digest.strip_prefix("sha256:").unwrap();
            assert!(hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()), "{}", image.reference());
            assert_eq!(image.reference(), format!("{}:{}@{}", image.name, image.version, image.digest));
        }
    }
}

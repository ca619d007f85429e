//! The instance types on offer.

use super::Handlers;
use crate::world::{Call, HandlerReply, Refusal, World};
use serde_json::{Value, json};

pub(crate) const HANDLERS: Handlers = &[("list-instance-types", list), ("get-instance-type", get)];

/// One row of the published table.
pub(crate) struct InstanceType {
    pub(crate) family: &'static str,
    pub(crate) size: &'static str,
    pub(crate) cpus: i64,
    /// Half GiB, so that micro is a whole number.
    half_gib: i64,
    gpus: i64,
    /// Empty: derived from family and size, since the real id is not known.
    id: &'static str,
}

impl InstanceType {
    pub(crate) fn memory_bytes(&self) -> i64 {
        self.half_gib * (1 << 29)
    }

    pub(crate) fn id(&self) -> String {
        if !self.id.is_empty() {
            return self.id.to_owned();
        }
        let digest = crate::codec::sha256_hex(format!("{}.{}", self.family, self.size).as_bytes());
        format!(
            "{}-{}-4{}-8{}-{}",
            &digest[0..8],
            &digest[8..12],
            &digest[12..15],
            &digest[15..18],
            &digest[18..30]
        )
    }

    /// Whether SKS nodes and block storage accept it.
    pub(crate) fn at_least_small(&self) -> bool {
        !matches!(self.size, "micro" | "tiny")
    }

    /// GPU types and everything from mega up need an approval first.
    fn authorized(&self) -> bool {
        self.gpus == 0 && !matches!(self.size, "mega" | "titan" | "titan48c" | "jumbo" | "colossus")
    }

    fn value(&self, zones: &[String], signed: bool) -> Value {
        let mut doc = json!({
            "id": self.id(), "family": self.family, "size": self.size, "cpus": self.cpus,
            "memory": self.memory_bytes(), "authorized": signed && self.authorized(),
            "zones": zones,
        });
        if self.gpus > 0 {
            doc["gpus"] = json!(self.gpus);
        }
        doc
    }
}

type Row = (&'static str, i64, i64, &'static str);

const STANDARD: &[Row] = &[
    ("micro", 1, 1, "71004023-bb72-4a97-b1e9-bc66dfce9470"),
    ("tiny", 1, 2, "b6cd1ff5-3a2f-4e9d-a4d1-8988c1191fe8"),
    ("small", 2, 4, "21624abb-764e-4def-81d7-9fc54b5957fb"),
    ("medium", 2, 8, "b6e9d1e8-89fc-4db3-aaa4-9b4c5b1d0844"),
    ("large", 4, 16, "c6f99499-7f59-4138-9427-a09db13af2bc"),
    ("extra-large", 4, 32, "350dc5ea-fe6d-42ba-b6c0-efb8b75617ad"),
    ("huge", 8, 64, "a216b0d1-370f-4e21-a0eb-3dfc6302b564"),
    ("mega", 12, 128, "c0d3fb5d-6fdb-4a63-9361-3e5cfa8b36d0"),
    ("titan", 16, 256, "74bfaf4e-7d67-4adf-9322-12b9a36e84f7"),
    ("jumbo", 24, 450, ""),
    ("colossus", 40, 640, ""),
];
const CPU: &[Row] = &[
    ("extra-large", 8, 32, ""),
    ("huge", 16, 64, ""),
    ("mega", 32, 128, ""),
    ("titan", 40, 256, ""),
    ("titan48c", 48, 256, ""),
    ("colossus", 80, 640, ""),
];
const MEMORY: &[Row] =
    &[("extra-large", 2, 32, ""), ("huge", 4, 64, ""), ("mega", 8, 128, ""), ("titan", 12, 256, "")];
const STORAGE: &[Row] = &[
    ("extra-large", 4, 32, ""),
    ("huge", 8, 64, ""),
    ("mega", 12, 128, ""),
    ("titan", 16, 256, ""),
    ("jumbo", 24, 450, ""),
];

/// All types, family by family. Of the GPU families only the smallest is
/// known; their memory is a guess.
pub(crate) fn all() -> Vec<InstanceType> {
    let families = [("standard", STANDARD), ("cpu", CPU), ("memory", MEMORY), ("storage", STORAGE)];
    let mut types: Vec<InstanceType> = families
        .iter()
        .flat_map(|(family, rows)| {
            rows.iter().map(|(size, cpus, half_gib, id)| InstanceType {
                family,
                size,
                cpus: *cpus,
                half_gib: *half_gib,
                gpus: 0,
                id,
            })
        })
        .collect();
    let gpus = ["gpu2", "gpu3", "gpua30", "gpub300", "gpua5000", "gpu3080ti"];
    types.extend(gpus.into_iter().map(|family| InstanceType {
        family,
        size: "small",
        cpus: 12,
        half_gib: 112,
        gpus: 1,
        id: "",
    }));
    types
}

/// The type of an id.
pub(crate) fn by_id(id: &str) -> Option<InstanceType> {
    all().into_iter().find(|t| t.id() == id)
}

fn find(id: &str) -> Result<InstanceType, Refusal> {
    by_id(id).ok_or_else(|| Refusal::new(404, "instance type not found"))
}

fn list(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    // Unsigned requests see all types, none of them authorised.
    let types: Vec<Value> = all().iter().map(|t| t.value(&world.config.zones, call.signed)).collect();
    HandlerReply::read(json!({"instance-types": types}))
}

fn get(world: &mut World, call: &Call) -> Result<HandlerReply, Refusal> {
    HandlerReply::read(find(call.param("id"))?.value(&world.config.zones, true))
}

/// The type a request names, or the refusal.
pub(crate) fn required(id: &str) -> Result<InstanceType, Refusal> {
    let found = find(id)?;
    if found.authorized() { Ok(found) } else { Err(Refusal::forbidden("instance type not authorized")) }
}

#!/usr/bin/env python3
"""Reduce the published OpenAPI v3 documents of Kubernetes to `schema.json`.

Usage: reduce.py API_DIR APIMACHINERY_DIR 1.35=DIR 1.34=DIR > schema.json

Each DIR is `api/openapi-spec/v3` of the Go module k8s.io/kubernetes of that
version. The first version is written whole; the others hold only the types
that differ. The first two are the Go modules k8s.io/api and
k8s.io/apimachinery of the first version, for the field numbers of protobuf and
for the fields that Go leaves out. Prose is left behind.

A type is an object of fields; `#` marks a type that is replaced as a whole. A
field is a list of words:

    s i l n b     string, int32, int64, number, boolean
    t T y q x *   time, time with microseconds, bytes, quantity, int or string, anything
    @Name         a type of this file
    [E] [E]= [E]a,b   list of E: atomic, set, map by the keys a and b
    {E} {E}#      map of E: granular, atomic
    !             required
    ~key ~        strategic merge by this key, or of plain values
    ^             strategic merge retains keys
    =json         default, where it is not empty
    :n :n.m       number in protobuf; with a dot, through an inlined message
    .             structure that is never absent in Go
    -             left out by Go when it is empty, zero or false
    |A|B          allowed values
"""

import json
import pathlib
import re
import sys

KINDS = {
    "v1": "Namespace Node Pod Service ServiceAccount ConfigMap Secret PersistentVolumeClaim "
    "PersistentVolume ResourceQuota LimitRange Event Endpoints",
    "apps/v1": "Deployment ReplicaSet DaemonSet StatefulSet",
    "autoscaling/v1": "Scale",
    "autoscaling/v2": "HorizontalPodAutoscaler",
    "coordination.k8s.io/v1": "Lease",
    "discovery.k8s.io/v1": "EndpointSlice",
    "networking.k8s.io/v1": "Ingress IngressClass NetworkPolicy",
    "authentication.k8s.io/v1": "SelfSubjectReview",
    "authorization.k8s.io/v1": "LocalSubjectAccessReview SelfSubjectAccessReview "
    "SelfSubjectRulesReview SubjectAccessReview",
    "policy/v1": "PodDisruptionBudget Eviction",
    "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
    "storage.k8s.io/v1": "CSIDriver CSINode StorageClass VolumeAttachment",
}
# The documents name no allowed values; these are the constants of the Go types.
CHOICES = {
    "ServiceSpec.type": "ClusterIP|ExternalName|LoadBalancer|NodePort",
    "ServiceSpec.externalTrafficPolicy": "Cluster|Local",
    "ServiceSpec.internalTrafficPolicy": "Cluster|Local",
    "ServiceSpec.sessionAffinity": "ClientIP|None",
    "ServiceSpec.ipFamilyPolicy": "PreferDualStack|RequireDualStack|SingleStack",
    "ServicePort.protocol": "SCTP|TCP|UDP",
    "ContainerPort.protocol": "SCTP|TCP|UDP",
    "Container.imagePullPolicy": "Always|IfNotPresent|Never",
    "Container.terminationMessagePolicy": "FallbackToLogsOnError|File",
    "PodSpec.restartPolicy": "Always|Never|OnFailure",
    "PodSpec.dnsPolicy": "ClusterFirst|ClusterFirstWithHostNet|Default|None",
    "DeploymentStrategy.type": "Recreate|RollingUpdate",
    "DaemonSetUpdateStrategy.type": "OnDelete|RollingUpdate",
    "StatefulSetUpdateStrategy.type": "OnDelete|RollingUpdate",
    "Toleration.operator": "Equal|Exists|Gt|Lt",
    "Toleration.effect": "NoExecute|NoSchedule|PreferNoSchedule",
    "Taint.effect": "NoExecute|NoSchedule|PreferNoSchedule",
    "LabelSelectorRequirement.operator": "DoesNotExist|Exists|In|NotIn",
    "NodeSelectorRequirement.operator": "DoesNotExist|Exists|Gt|In|Lt|NotIn",
    "TopologySpreadConstraint.whenUnsatisfiable": "DoNotSchedule|ScheduleAnyway",
    "PersistentVolumeClaimSpec.volumeMode": "Block|Filesystem",
    "StorageClass.reclaimPolicy": "Delete|Retain",
    "StorageClass.volumeBindingMode": "Immediate|WaitForFirstConsumer",
    "HTTPGetAction.scheme": "HTTP|HTTPS",
    "HTTPIngressPath.pathType": "Exact|ImplementationSpecific|Prefix",
    "MetricTarget.type": "AverageValue|Utilization|Value",
    "PodDisruptionBudgetSpec.unhealthyPodEvictionPolicy": "AlwaysAllow|IfHealthyBudget",
    "SeccompProfile.type": "Localhost|RuntimeDefault|Unconfined",
}
PLAIN = {"string": "s", "boolean": "b", "number": "n", "integer": "l", "object": "*"}
FORMATS = {"int32": "i", "int64": "l", "date-time": "t", "byte": "y", "double": "n"}
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "q",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "x",
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "t",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "T",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1": "*",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "*",
}


def short(reference):
    name = reference.split("/")[-1]
    parts = name.split(".")
    # Two types are called Subject, EndpointPort and ServiceReference.
    if parts[-1] in ("Subject", "EndpointPort", "ServiceReference") and parts[-3] not in ("core", "rbac"):
        return parts[-3].capitalize() + parts[-1]
    return parts[-1]


def reference_of(schema):
    if "$ref" in schema:
        return schema["$ref"]
    for part in schema.get("allOf", []):
        if "$ref" in part:
            return part["$ref"]
    return None


def messages(folders):
    """The messages of all .proto files: number and type by field, by OpenAPI name."""
    found = {}
    for folder in folders:
        for file in sorted(pathlib.Path(folder).rglob("generated.proto")):
            text = re.sub(r"//[^\n]*", "", file.read_text())
            package = re.search(r"^package ([\w.]+);", text, re.M).group(1)
            prefix = "io.k8s." + package.removeprefix("k8s.io.")
            for name, body in re.findall(r"^message (\w+) \{(.*?)^\}", text, re.M | re.S):
                fields = re.findall(r"(?:optional|repeated)\s+([\w.]+)\s+(\w+) = (\d+);", body)
                fields += re.findall(r"(map)<[^>]*>\s+(\w+) = (\d+);", body)
                local = lambda kind: kind if "." in kind or kind[0].islower() else "." + package + "." + kind
                found[f"{prefix}.{name}"] = {
                    field: (number, "io.k8s." + local(kind).removeprefix(".k8s.io.")) for kind, field, number in fields
                }
    return found


def omissions(folders):
    """Which fields of Go structures are left out when empty, and what is inlined, by OpenAPI name."""
    found = {}
    for folder in folders:
        folder = pathlib.Path(folder)
        root = "io.k8s." + folder.name.split("@")[0]
        for file in sorted(folder.rglob("types*.go")):
            package = ".".join([root, *file.parent.relative_to(folder).parts])
            for name, body in re.findall(r"^type (\w+) struct \{\n(.*?)^\}", file.read_text(), re.M | re.S):
                fields, inlined = {}, []
                for kind, field, options in re.findall(r'^\s+(?:\w+\s+)?(\S+)\s+`json:"([^",]*)([^"]*)"', body, re.M):
                    if "inline" in options:
                        inlined.append(f"{package}.{kind}")
                    else:
                        fields[field] = "omitempty" in options and not kind.startswith("*")
                found[f"{package}.{name}"] = (fields, inlined)
    return found


class Reducer:
    def __init__(self, schemas, protos, omitted):
        self.schemas = schemas
        self.protos = protos
        self.omitted = omitted
        self.types = {}

    def is_omitted(self, name, field):
        """Whether Go leaves out a field when it is empty, zero or false."""
        fields, inlined = self.omitted.get(name, ({}, []))
        return fields.get(field, False) or any(self.is_omitted(inner, field) for inner in inlined)

    def number(self, name, field):
        """The number of a field in protobuf, through inlined messages."""
        fields = self.protos.get(name, {})
        if field in fields:
            return fields[field][0]
        for inner, (number, kind) in fields.items():
            inlined = inner not in self.schemas.get(name, {}).get("properties", {})
            below = self.number(kind, field) if inlined else None
            if below:
                return f"{number}.{below}"
        return None

    def type_of(self, schema):
        reference = reference_of(schema)
        if reference:
            name = reference.split("/")[-1]
            if name in SPECIAL:
                return SPECIAL[name]
            self.add(name)
            return "@" + short(name)
        if schema.get("type") == "array":
            element = "[" + self.type_of(schema["items"]) + "]"
            kind = schema.get("x-kubernetes-list-type", "atomic")
            if kind == "map":
                element += ",".join(schema["x-kubernetes-list-map-keys"])
            elif kind == "set":
                element += "="
            return element
        if "additionalProperties" in schema:
            atomic = "#" if schema.get("x-kubernetes-map-type") == "atomic" else ""
            return "{" + self.type_of(schema["additionalProperties"]) + "}" + atomic
        return FORMATS.get(schema.get("format")) or PLAIN.get(schema.get("type"), "*")

    def field(self, full, owner, name, schema, required):
        words = [self.type_of(schema)]
        if name in required:
            words.append("!")
        if "x-kubernetes-patch-strategy" in schema:
            strategies = schema["x-kubernetes-patch-strategy"].split(",")
            if "merge" in strategies:
                words.append("~" + schema.get("x-kubernetes-patch-merge-key", ""))
            if "retainKeys" in strategies:
                words.append("^")
        if schema.get("default") not in (None, {}, "", 0, False):
            words.append("=" + json.dumps(schema["default"], separators=(",", ":")))
        number = self.number(full, name)
        if number:
            words.append(":" + number)
        if schema.get("default") == {}:
            words.append(".")
        elif self.is_omitted(full, name) and words[0][0] not in "@*tTqx":
            words.append("-")
        if f"{owner}.{name}" in CHOICES:
            words.append("|" + CHOICES[f"{owner}.{name}"])
        return " ".join(words)

    def add(self, name):
        key = short(name)
        if key in self.types:
            return
        self.types[key] = fields = {}
        schema = self.schemas[name]
        if schema.get("x-kubernetes-map-type") == "atomic":
            fields["#"] = ""
        required = schema.get("required", [])
        for field, body in schema.get("properties", {}).items():
            fields[field] = self.field(name, key, field, body, required)


def resources(folder):
    """The plural names of all stable resources by group and version."""
    found = {}
    for file in sorted(folder.glob("api*_openapi.json")):
        for path, item in json.loads(file.read_text())["paths"].items():
            match = re.fullmatch(r"/(?:api|apis/([^/]+))/(v[0-9][^/]*)/(namespaces/\{namespace\}/)?([a-z]+)/?", path)
            if not match or "watch" in path:
                continue
            group, version, _, plural = match.groups()
            found.setdefault(f"{group}/{version}" if group else version, set()).add(plural)
    stable = [key for key in sorted(found) if "alpha" not in key and "beta" not in key]
    return {key: " ".join(sorted(found[key])) for key in stable}


def reduce_version(folder, protos, omitted):
    schemas = {}
    for file in sorted(folder.glob("*_openapi.json")):
        schemas.update(json.loads(file.read_text()).get("components", {}).get("schemas", {}))
    by_kind = {}
    for name, schema in schemas.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            group = kind["group"] + "/" if kind["group"] else ""
            by_kind[(group + kind["version"], kind["kind"])] = name
    reducer = Reducer(schemas, protos, omitted)
    for group, kinds in KINDS.items():
        for kind in kinds.split():
            reducer.add(by_kind[(group, kind)])
    return reducer.types


def main():
    protos, omitted = messages(sys.argv[1:3]), omissions(sys.argv[1:3])
    versions = [argument.split("=", 1) for argument in sys.argv[3:]]
    first = None
    out = {"resources": {}, "types": {}}
    for version, folder in versions:
        types = reduce_version(pathlib.Path(folder), protos, omitted)
        if first is None:
            first = types
            out["resources"] = resources(pathlib.Path(folder))
        else:
            names = first.keys() | types.keys()
            types = {name: types.get(name) for name in names if types.get(name) != first.get(name)}
        out["types"][version] = dict(sorted(types.items()))
    json.dump(out, sys.stdout, indent=0, separators=(",", ":"))
    print()


main()
